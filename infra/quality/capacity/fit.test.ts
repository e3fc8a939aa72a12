import { expect, it } from 'vitest';
import { fit } from './fit.ts';

it('finds the costs that explain all measurements, however far apart their sizes are', () => {
  const rows = [
    [1, 0, 0],
    [1, 100, 1e6],
    [1, 100, 5e6],
    [1, 900, 1e6],
  ];
  const costs = [5000, 30, 0.002];
  const measured = rows.map((row) => row.reduce((sum, value, i) => sum + value * (costs[i] ?? 0), 0));
  const found = fit(rows, measured);
  for (const [i, cost] of costs.entries()) expect((found[i] ?? 0) / cost).toBeCloseTo(1, 6);
});

it('assigns no cost to a term that would be negative or is always zero', () => {
  const rows = [
    [1, 10, 0],
    [1, 20, 0],
    [1, 30, 0],
  ];
  const [base = 0, falling, absent] = fit(rows, [100, 90, 80]);
  expect(falling).toBe(0);
  expect(absent).toBe(0);
  expect(base).toBeGreaterThan(80);
  expect(base).toBeLessThan(100);
});
