import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BandwidthController } from './bandwidth.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});
const MIB = 2 ** 20;

test('updates within the budget are lossless and wait for nothing', () => {
  const bandwidth = new BandwidthController(false);
  for (let second = 0; second < 10; second++) {
    expect(bandwidth.sent(MIB / 2)).toBe(0);
    expect(bandwidth.reconsider()).toBe(false);
    vi.advanceTimersByTime(1000);
  }
  expect(bandwidth.lossy).toBe(false);
});

test('updates beyond the budget wait and become lossy; at rest they are lossless again', () => {
  const bandwidth = new BandwidthController(false);
  const waitMs = bandwidth.sent(4 * MIB);
  expect(waitMs).toBeGreaterThan(1500);
  expect(bandwidth.reconsider()).toBe(true);
  expect(bandwidth.lossy).toBe(true);
  vi.advanceTimersByTime(bandwidth.lossyMs + waitMs);
  expect(bandwidth.reconsider()).toBe(true);
  expect(bandwidth.lossy).toBe(false);
});

test('lossless that soon exceeds the budget is tried less and less often, up to every 30 s', () => {
  const bandwidth = new BandwidthController(false);
  const waits: number[] = [];
  for (let round = 0; round < 6; round++) {
    bandwidth.sent(4 * MIB);
    bandwidth.reconsider();
    waits.push(bandwidth.lossyMs);
    while (bandwidth.lossy) {
      vi.advanceTimersByTime(1000);
      bandwidth.reconsider();
    }
  }
  expect(waits).toEqual(waits.toSorted((a, b) => a - b));
  expect(waits.at(-1)).toBe(30_000);
});

test('a flood of empty updates waits as well', () => {
  const bandwidth = new BandwidthController(false);
  for (let update = 0; update < 2000; update++) bandwidth.sent(0);
  expect(bandwidth.sent(0)).toBeGreaterThan(0);
});
