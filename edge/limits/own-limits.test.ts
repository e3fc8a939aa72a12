import { Redis } from '@upstash/redis/cloudflare';
import type { Tier } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import { limitRequests } from '@warmwind/shared/engine/scripts/limit.lua';
import { scriptTier } from '@warmwind/shared/engine/user-limits';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startGateway, type TestGateway, TOKEN } from '../../infra/local/gateway/testing.ts';
import { prepareScript } from '../redis/redis.ts';
import { readDecision, scopesForLua } from './decision.ts';

let gateway: TestGateway;
let nonces = 0;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.stop());
beforeEach(() => gateway.redis.client.flushall());

const tier = (limit: number, windowMs: number): Tier => ({ name: `${limit}/${windowMs}ms`, limit, windowMs });

function requests(user: string, usual: Tier[]) {
  const redis = new Redis({
    url: gateway.url,
    token: TOKEN,
    automaticDeserialization: false,
    enableAutoPipelining: false,
  });
  const run = prepareScript(redis, limitRequests);
  const subject = { logs: [keys.limit(user, 'user')], own: keys.userLimits(user) };
  return async (consume = true) => {
    const scopes = scopesForLua([{ scope: 'user', tiers: usual }]);
    return readDecision(
      await run(subject, { request: JSON.stringify({ nonce: `n${nonces++}`, consume, scopes }) }),
    );
  };
}

/** Sets tiers of a user, `undefined` for the usual ones. */
const setOwn = (user: string, tiers: Tier[] | undefined) =>
  tiers
    ? gateway.redis.client.hset(
        keys.userLimits(user),
        'effective',
        JSON.stringify({ tiers: { user: tiers.map(scriptTier) }, quotas: {} }),
      )
    : gateway.redis.client.del(keys.userLimits(user));

test('limits that are set, changed and removed in the middle of a window decide as exact sliding windows do', async () => {
  const tiers = (maxWindowMs: number) =>
    fc.array(
      fc
        .record({
          limit: fc.integer({ min: 1, max: 6 }),
          windowMs: fc.integer({ min: 20, max: maxWindowMs }),
        })
        .map(({ limit, windowMs }) => tier(limit, windowMs)),
      { minLength: 1, maxLength: 3 },
    );
  // A log holds the usual windows, so limits of a user with longer ones begin with what those have kept.
  const longest = tier(8, 160);
  const step = fc.record({
    own: fc.option(fc.oneof(tiers(160), fc.constant<Tier[]>([])), { nil: undefined }),
    atOnce: fc.integer({ min: 1, max: 8 }),
    pauseMs: fc.integer({ min: 0, max: 60 }),
  });
  let users = 0;
  const property = fc.asyncProperty(
    tiers(160),
    fc.array(step, { minLength: 3, maxLength: 8 }),
    async (some, steps) => {
      const user = `user-${users++}`;
      const usual = [...some, longest];
      const charge = requests(user, usual);
      const admitted: number[] = [];
      for (const { own, atOnce, pauseMs } of steps) {
        await setOwn(user, own);
        const effective = own ?? usual;
        const decisions = await Promise.all(Array.from({ length: atOnce }, () => charge()));
        decisions.sort((a, b) => a.nowUs - b.nowUs);
        for (const { allowed, nowUs, tiers: states } of decisions) {
          const left = effective.map(
            ({ limit, windowMs }) => limit - admitted.filter((at) => at > nowUs - windowMs * 1000).length,
          );
          const isFree = left.every((n) => n > 0);
          if (isFree) admitted.push(nowUs);
          const expected = left.map((n) => (isFree ? n - 1 : Math.max(0, n)));
          expect([allowed, states.map(({ remaining }) => remaining)]).toEqual([isFree, expected]);
          expect(states.map(({ name }) => name)).toEqual(effective.map(({ name }) => name));
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    },
  );
  await fc.assert(property, { numRuns: 12, seed: 17 });
}, 60_000);

test('a user whose limits are lifted has a log that is no larger than the highest limit', async () => {
  const charge = requests('ada', [tier(5, 60_000)]);
  await setOwn('ada', []);
  for (let i = 0; i < 12; i += 1) expect((await charge()).allowed).toBe(true);
  expect(await gateway.redis.client.zcard(keys.limit('ada', 'user'))).toBe(5);
  await setOwn('ada', undefined);
  expect(await charge(false)).toMatchObject({ allowed: false, tiers: [{ remaining: 0, limit: 5 }] });
});

test('limits of a user that can not be read leave the usual ones in force', async () => {
  await gateway.redis.client.hset(keys.userLimits('ada'), 'effective', '{"tiers":');
  const charge = requests('ada', [tier(1, 60_000)]);
  expect((await charge()).allowed).toBe(true);
  expect((await charge()).allowed).toBe(false);
});

test('the limits of one user are not those of another', async () => {
  await setOwn('ada', [tier(1, 60_000)]);
  const [ada, bob] = [requests('ada', [tier(3, 60_000)]), requests('bob', [tier(3, 60_000)])];
  expect((await ada()).tiers).toMatchObject([{ limit: 1, remaining: 0 }]);
  expect((await bob()).tiers).toMatchObject([{ limit: 3, remaining: 2 }]);
});
