import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Throttle } from './throttle.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('`soonest` runs the work at once, and from then on once per interval', () => {
  const throttle = new Throttle();
  const done: number[] = [];
  const ask = () => throttle.soonest(33, () => done.push(performance.now()));
  const begun = performance.now();
  for (let ms = 0; ms < 330; ms += 5) {
    ask();
    vi.advanceTimersByTime(5);
  }
  expect(done[0]).toBe(begun);
  // At 0, 33, … and 330.
  expect(done.length).toBe(11);
});

test('`hurry` runs the waiting work now, and only once', () => {
  const throttle = new Throttle();
  let done = 0;
  const ask = () => throttle.soonest(33, () => done++);
  ask();
  ask();
  throttle.hurry();
  expect(done).toBe(2);
  throttle.hurry();
  vi.advanceTimersByTime(100);
  expect(done).toBe(2);
});
