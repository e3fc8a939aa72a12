import { describe, expect, test } from 'vitest';
import { RateLimitsConfig } from './limits.ts';

describe('RATE_LIMITS', () => {
  test('a scope that is left out keeps its default limits, and an empty list lifts them', () => {
    const limits = RateLimitsConfig.parse({ 'containers.start': [] });
    expect(limits['containers.start']).toEqual([]);
    expect(limits.user).toEqual([
      { name: '10/s', limit: 10, windowMs: 1000 },
      { name: '100/min', limit: 100, windowMs: 60_000 },
      { name: '1000/h', limit: 1000, windowMs: 3_600_000 },
    ]);
  });

  test('a window may be several units long', () => {
    expect(RateLimitsConfig.parse({ user: ['5/10s'] }).user).toEqual([
      { name: '5/10s', limit: 5, windowMs: 10_000 },
    ]);
  });

  test.each([{ user: ['0/s'] }, { user: ['10/day'] }, { user: '10/s' }, { users: [] }])(
    'refuses %j',
    (value) => {
      expect(RateLimitsConfig.safeParse(value).success).toBe(false);
    },
  );
});
