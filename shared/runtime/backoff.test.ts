import { expect, test } from 'vitest';
import { backoff } from './backoff.ts';

test('a wait doubles up to its bound, with jitter of up to half', () => {
  for (const [attempt, most] of [
    [1, 100],
    [2, 200],
    [3, 400],
    [4, 500],
    [2000, 500],
  ] as const) {
    const waits = Array.from({ length: 200 }, () => backoff(attempt, { firstMs: 100, maxMs: 500 }));
    expect(Math.max(...waits), `${attempt}`).toBeLessThanOrEqual(most);
    expect(Math.min(...waits), `${attempt}`).toBeGreaterThanOrEqual(most / 2);
    expect(new Set(waits).size).toBeGreaterThan(1);
  }
});
