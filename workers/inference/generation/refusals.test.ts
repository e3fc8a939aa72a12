import { expect, test } from 'vitest';
import { Refusals } from './refusals.ts';

const T0 = 1_000_000;
const RETRY_AFTER_MS = 60_000;
/** The longest that a pause for all may be, ms. */
const MAX_PAUSE_MS = 15_000;

/** How long a user who was never refused is held back, ms. */
const pauseOf = (refusals: Refusals, nowMs: number): number => {
  let ms = 0;
  while (!refusals.allow('newcomer', nowMs + ms)) ms += 250;
  return ms;
};

test('one user, refused however often, holds back nobody else', () => {
  const refusals = new Refusals();
  for (let i = 0; i < 100; i++) refusals.add('ada', RETRY_AFTER_MS, T0 + i);
  expect(refusals.allow('ada', T0 + RETRY_AFTER_MS)).toBe(false);
  expect(refusals.allow('ada', T0 + RETRY_AFTER_MS + 100)).toBe(true);
  expect(pauseOf(refusals, T0 + 100)).toBe(0);
});

test('the refusals of several users pause the server, longer with each further one, within bounds', () => {
  const refusals = new Refusals();
  const pauses = Array.from({ length: 9 }, (_, i) => {
    refusals.add(`user-${i}`, RETRY_AFTER_MS, T0);
    return pauseOf(refusals, T0);
  });
  expect(pauses).toEqual([0, 1000, 2000, 4000, 8000, ...Array(4).fill(MAX_PAUSE_MS)]);
  for (let i = 0; i < 100; i++) refusals.add('user-0', RETRY_AFTER_MS, T0 + MAX_PAUSE_MS);
  expect(pauseOf(refusals, T0 + MAX_PAUSE_MS)).toBe(0);
});

test('a pause is never longer than the server asked for, and short where it asked for nothing', () => {
  for (const [retryAfterMs, longest] of [
    [0, 1000],
    [3000, 3000],
  ] as const) {
    const refusals = new Refusals();
    for (let i = 0; i < 9; i++) refusals.add(`user-${i}`, retryAfterMs, T0);
    expect(pauseOf(refusals, T0)).toBe(longest);
  }
});

test('a request that is accepted ends the count of refusals before it, and not its user\u2019s hold', () => {
  const refusals = new Refusals();
  refusals.add('ada', RETRY_AFTER_MS, T0);
  refusals.accept(T0 + 10);
  refusals.add('bob', RETRY_AFTER_MS, T0 + 20);
  expect(pauseOf(refusals, T0 + 20)).toBe(0);
  expect(refusals.allow('ada', T0 + 20)).toBe(false);
  // An answer to a request of before them says nothing of the refusals since.
  refusals.accept(T0 + 15);
  refusals.add('eve', RETRY_AFTER_MS, T0 + 30);
  expect(pauseOf(refusals, T0 + 30)).toBe(1000);
});
