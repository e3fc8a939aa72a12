import { afterEach, expect, test, vi } from 'vitest';
import { Intents } from './intents.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('a request has one key until its outcome is known, and each request its own', () => {
  const intents = new Intents();
  const key = intents.key('POST /a {}');
  expect(key).toMatch(/^[0-9a-f]{32}$/);
  expect(intents.key('POST /a {}')).toBe(key);
  expect(intents.key('POST /a {"b":1}')).not.toBe(key);
  intents.settle('POST /a {}');
  expect(intents.key('POST /a {}')).not.toBe(key);
});

test('a request that is sent again much later is a new intent', () => {
  vi.useFakeTimers();
  const intents = new Intents();
  const key = intents.key('POST /a {}');
  vi.advanceTimersByTime(9 * 60_000);
  expect(intents.key('POST /a {}')).toBe(key);
  vi.advanceTimersByTime(2 * 60_000);
  expect(intents.key('POST /a {}')).not.toBe(key);
});
