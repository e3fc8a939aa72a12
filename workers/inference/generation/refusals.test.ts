import { expect, test } from 'vitest';
import { Refusals } from './refusals.ts';

const T0 = 1_000_000;
const RETRY_AFTER_MS = 60_000;
/** The longest pause for all users, ms. */
const MAX_PAUSE_MS = 15_000;

/** Measures the time for which a user who was never refused is held back, ms. */
const pauseOf = (refusals: Refusals, nowMs: number): number => {
  let ms = 0;
  while (!refusals.allow('newcomer', nowMs + ms)) ms += 250;
  return ms;
};

test('any number of refusals of one user holds back only that user', () => {
  const refusals = new Refusals();
  for (let i = 0; i < 100; i++) refusals.add('ada', RETRY_AFTER_MS, T0 + i);
  expect(refusals.allow('ada', T0 + RETRY_AFTER_MS)).toBe(false);
  expect(refusals.allow('ada', T0 + RETRY_AFTER_MS + 100)).toBe(true);
  expect(pauseOf(refusals, T0 + 100)).toBe(0);
});

test('refusals of several users pause the server, longer with each further user, within bounds', () => {
  const refusals = new Refusals();
  const pauses = Array.from({ length: 9 }, (_, i) => {
    refusals.add(`user-${i}`, RETRY_AFTER_MS, T0);
    return pauseOf(refusals, T0);
  });
  expect(pauses).toEqual([0, 1000, 2000, 4000, 8000, ...Array(4).fill(MAX_PAUSE_MS)]);
  for (let i = 0; i < 100; i++) refusals.add('user-0', RETRY_AFTER_MS, T0 + MAX_PAUSE_MS);
  expect(pauseOf(refusals, T0 + MAX_PAUSE_MS)).toBe(0);
});

test('a pause is never longer than the server asked for, and 1 s when it asked for none', () => {
  for (const [retryAfterMs, longest] of [
    [0, 1000],
    [3000, 3000],
  ] as const) {
    const refusals = new Refusals();
    for (let i = 0; i < 9; i++) refusals.add(`user-${i}`, retryAfterMs, T0);
    expect(pauseOf(refusals, T0)).toBe(longest);
  }
});

test('an accepted request resets the count of earlier refusals, but still holds back refused users', () => {
  const refusals = new Refusals();
  refusals.add('ada', RETRY_AFTER_MS, T0);
  refusals.accept(T0 + 10);
  refusals.add('bob', RETRY_AFTER_MS, T0 + 20);
  expect(pauseOf(refusals, T0 + 20)).toBe(0);
  expect(refusals.allow('ada', T0 + 20)).toBe(false);
  // An answer to an earlier request does not reset later refusals.
  refusals.accept(T0 + 15);
  refusals.add('eve', RETRY_AFTER_MS, T0 + 30);
  expect(pauseOf(refusals, T0 + 30)).toBe(1000);
});
