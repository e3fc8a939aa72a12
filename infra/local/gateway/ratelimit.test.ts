import { Ratelimit } from '@upstash/ratelimit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type TestGateway } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

test.each([
  ['fixedWindow', () => Ratelimit.fixedWindow(5, '1 h')],
  ['slidingWindow', () => Ratelimit.slidingWindow(5, '1 h')],
  ['tokenBucket', () => Ratelimit.tokenBucket(5, '1 h', 5)],
] as const)('the stock @upstash/ratelimit limits by its %s', async (name, limiter) => {
  const prefix = `test-${name}`;
  const ratelimit = new Ratelimit({
    redis: gateway.client,
    limiter: limiter(),
    prefix,
    ephemeralCache: false,
    timeout: 0,
  });
  const results = await Promise.all(Array.from({ length: 12 }, () => ratelimit.limit('user')));
  expect(results.filter(({ success }) => success)).toHaveLength(5);
  expect((await ratelimit.limit('other')).success).toBe(true);
  expect(await ratelimit.getRemaining('user')).toMatchObject({ remaining: 0, limit: 5 });
  await ratelimit.resetUsedTokens('user');
  expect(await ratelimit.limit('user')).toMatchObject({ success: true, remaining: 4 });
});
