import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TimeoutError, withTimeout } from './timeout.ts';

const never = () => new Promise<never>(() => undefined);
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

test('work that ends in time returns its result or throws its error, and leaves no timer', async () => {
  const before = timers();
  expect(await withTimeout(Promise.resolve(7), 60_000)).toBe(7);
  await expect(withTimeout(Promise.reject(new Error('refused')), 60_000)).rejects.toThrow('refused');
  expect(timers()).toBe(before);
});

test('late work rejects with a TimeoutError that names the bound', async () => {
  const late = withTimeout(never(), 5);
  await expect(late).rejects.toBeInstanceOf(TimeoutError);
  await expect(late).rejects.toThrow('no answer within 5 ms');
});

test('late work returns the result, or throws the error, of `onTimeout`', async () => {
  expect(await withTimeout(never(), 5, () => 'late')).toBe('late');
  const refused = withTimeout(never(), 5, () => {
    throw new RangeError('too slow');
  });
  await expect(refused).rejects.toBeInstanceOf(RangeError);
});

test('an error after the time-out is no unhandled rejection', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  const { promise, reject } = Promise.withResolvers<never>();
  expect(await withTimeout(promise, 5, () => 'late')).toBe('late');
  reject(new Error('after the end'));
  await turn();
  await turn();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});
