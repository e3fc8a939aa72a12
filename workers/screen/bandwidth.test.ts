import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BandwidthController } from './bandwidth.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});
const MIB = 2 ** 20;

test('what fits the budget is lossless and waits for nothing', () => {
  const pace = new BandwidthController(false);
  for (let second = 0; second < 10; second++) {
    expect(pace.sent(MIB / 2)).toBe(0);
    expect(pace.reconsider()).toBe(false);
    vi.advanceTimersByTime(1000);
  }
  expect(pace.lossy).toBe(false);
});

test('what does not fit waits until it does, and becomes lossy; at rest it is lossless again', () => {
  const pace = new BandwidthController(false);
  const waitMs = pace.sent(4 * MIB);
  expect(waitMs).toBeGreaterThan(1500);
  expect(pace.reconsider()).toBe(true);
  expect(pace.lossy).toBe(true);
  vi.advanceTimersByTime(pace.lossyMs + waitMs);
  expect(pace.reconsider()).toBe(true);
  expect(pace.lossy).toBe(false);
});

test('lossless that is too much at once is tried less and less often', () => {
  const pace = new BandwidthController(false);
  const waits: number[] = [];
  for (let round = 0; round < 6; round++) {
    pace.sent(4 * MIB);
    pace.reconsider();
    waits.push(pace.lossyMs);
    while (pace.lossy) {
      vi.advanceTimersByTime(1000);
      pace.reconsider();
    }
  }
  expect(waits).toEqual(waits.toSorted((a, b) => a - b));
  expect(waits.at(-1)).toBe(30_000);
});

test('a flood of nothing waits as well', () => {
  const pace = new BandwidthController(false);
  for (let update = 0; update < 2000; update++) pace.sent(0);
  expect(pace.sent(0)).toBeGreaterThan(0);
});
