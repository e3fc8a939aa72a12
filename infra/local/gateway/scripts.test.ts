import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Scripts } from './scripts.ts';
import { startGateway, type TestGateway } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());
beforeEach(() => gateway.redis.client.script('FLUSH'));

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');
const FLAGS = [
  ['no shebang', ''],
  ['only the flag of Upstash', '#!lua flags=allow-key-locking\n'],
  ['the flag among others', '#!lua flags=no-writes,allow-key-locking\n'],
  ['other flags', '#!lua flags=no-writes\n'],
] as const;

test.each(FLAGS)('a script with %s runs by its text and by the SHA of that text', async (_name, shebang) => {
  const script = `${shebang}return {KEYS[1], ARGV[1]} -- ${_name}`;
  const sha = sha1(script);
  await expect(gateway.client.evalsha(sha, ['k'], ['v'])).rejects.toThrow('NOSCRIPT');
  expect(await gateway.client.eval(script, ['k'], ['v'])).toEqual(['k', 'v']);
  expect(await gateway.client.evalsha(sha, ['k'], ['v'])).toEqual(['k', 'v']);
  expect(await gateway.client.evalsha(sha.toUpperCase(), ['k'], ['v'])).toEqual(['k', 'v']);
});

test.each(FLAGS)('a script with %s that was loaded is known under its SHA', async (_name, shebang) => {
  const script = `${shebang}return 'loaded' -- ${_name}`;
  const sha = sha1(script);
  expect(await gateway.client.scriptExists(sha)).toEqual([0]);
  expect(await gateway.client.scriptLoad(script)).toBe(sha);
  expect(await gateway.client.scriptExists(sha, sha1('other'))).toEqual([1, 0]);
  expect(await gateway.client.evalsha(sha, [], [])).toBe('loaded');
});

test('read-only evaluation, pipelines and transactions know the SHA too', async () => {
  const script = '#!lua flags=allow-key-locking,no-writes\nreturn ARGV[1]';
  expect(await gateway.client.evalRo(script, [], ['a'])).toBe('a');
  expect(await gateway.client.evalshaRo(sha1(script), [], ['b'])).toBe('b');
  const results = await gateway.client
    .multi()
    .eval(script, [], ['c'])
    .evalsha(sha1(script), [], ['d'])
    .exec();
  expect(results).toEqual(['c', 'd']);
});

test('a script object of the client runs after Redis has lost it', async () => {
  const script = gateway.client.createScript<string>('#!lua flags=allow-key-locking\nreturn ARGV[1]');
  expect(await script.exec([], ['1'])).toBe(1);
  await gateway.redis.client.script('FLUSH');
  expect(await script.exec([], ['2'])).toBe(2);
});

test('the memory for names is bounded, and forgets the least recently used one', () => {
  const scripts = new Scripts(2);
  const text = (i: number) => `#!lua flags=allow-key-locking\nreturn ${i}`;
  const run = (i: number) => scripts.translate({ name: 'EVAL', args: [text(i), '0'] });
  const isKnown = (i: number) => {
    const args = [sha1(text(i)), '0'];
    return scripts.translate({ name: 'EVALSHA', args }).args[0] !== args[0];
  };
  run(1);
  run(2);
  expect(isKnown(1)).toBe(true);
  run(3);
  expect([isKnown(1), isKnown(2), isKnown(3)]).toEqual([true, false, true]);
});
