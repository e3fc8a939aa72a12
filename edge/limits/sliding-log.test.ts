import { Ratelimit } from '@upstash/ratelimit';
import { Redis } from '@upstash/redis/cloudflare';
import { keys } from '@warmwind/shared/engine/keys';
import { limitScript } from '@warmwind/shared/engine/scripts/limit.lua';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startGateway, type TestGateway, TOKEN } from '../../infra/local/gateway/testing.ts';
import type { Decision, Scope } from './decision.ts';
import { Limiter } from './limiter.ts';
import { slidingLog } from './sliding-log.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.stop());
beforeEach(() => gateway.redis.client.flushall());

const client = (timeoutMs = 5000) =>
  new Redis({
    url: gateway.url,
    token: TOKEN,
    automaticDeserialization: false,
    enableAutoPipelining: false,
    retry: { retries: 0 },
    signal: () => AbortSignal.timeout(timeoutMs),
  });
const ratelimit = (scopes: Scope[]) =>
  new Ratelimit({ redis: client(), limiter: slidingLog(scopes), ephemeralCache: false, timeout: 0 });
const decide = async (limit: Ratelimit, subject: string): Promise<Decision> => {
  const answer: object = await limit.limit(subject);
  return (answer as { decision: Decision }).decision;
};

/** The exact rule, replayed on the times that Redis decided at. */
function oracle(decisions: Decision[], scopes: Scope[]): { allowed: boolean; remaining: number[] }[] {
  const admitted: number[] = [];
  return decisions.map(({ nowUs }) => {
    const left = scopes
      .flatMap(({ tiers }) => tiers)
      .map(({ limit, windowMs }) => limit - admitted.filter((t) => t > nowUs - windowMs * 1000).length);
    const allowed = left.every((n) => n > 0);
    if (allowed) admitted.push(nowUs);
    return { allowed, remaining: left.map((n) => (allowed ? n - 1 : Math.max(0, n))) };
  });
}

describe('the limiter', () => {
  const tier = fc
    .record({ limit: fc.integer({ min: 1, max: 6 }), windowMs: fc.integer({ min: 20, max: 150 }) })
    .map(({ limit, windowMs }) => ({ name: `${limit}/${windowMs}ms`, limit, windowMs }));
  const tiers = fc.array(tier, { minLength: 1, maxLength: 3 });
  const schedule = fc.array(
    fc.record({ atOnce: fc.integer({ min: 1, max: 8 }), pauseMs: fc.integer({ min: 0, max: 60 }) }),
    { minLength: 3, maxLength: 8 },
  );
  let subjects = 0;

  test('decides as the exact sliding window does, for any tiers and any number of clients at once', async () => {
    const property = fc.asyncProperty(tiers, fc.option(tiers), schedule, async (user, route, bursts) => {
      const scopes: Scope[] = [
        { scope: 'user', tiers: user },
        ...(route ? [{ scope: 'containers.start' as const, tiers: route }] : []),
      ];
      const subject = `user-${subjects++}`;
      const clients = [ratelimit(scopes), ratelimit(scopes)];
      const decisions: Decision[] = [];
      for (const { atOnce, pauseMs } of bursts) {
        const asked = clients.flatMap((one) => Array.from({ length: atOnce }, () => decide(one, subject)));
        decisions.push(...(await Promise.all(asked)));
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
      decisions.sort((a, b) => a.nowUs - b.nowUs);
      const seen = decisions.map(({ allowed, tiers }) => ({
        allowed,
        remaining: tiers.map(({ remaining }) => remaining),
      }));
      expect(seen).toEqual(oracle(decisions, scopes));
    });
    await fc.assert(property, { numRuns: 25 });
  });

  const scopes: Scope[] = [
    { scope: 'user', tiers: [{ name: '5/min', limit: 5, windowMs: 60_000 }] },
    { scope: 'containers.start', tiers: [{ name: '2/min', limit: 2, windowMs: 60_000 }] },
  ];

  test('a denied request consumes nothing in any tier', async () => {
    const limit = ratelimit(scopes);
    const admitted = await Promise.all(Array.from({ length: 10 }, () => decide(limit, 'ada')));
    expect(admitted.filter(({ allowed }) => allowed)).toHaveLength(2);
    expect(await gateway.redis.client.zcard(keys.limit('ada', 'user'))).toBe(2);
    expect(await gateway.redis.client.zcard(keys.limit('ada', 'containers.start'))).toBe(2);
  });

  test('a full tier reports when it next has room: when its oldest admitted request leaves the window', async () => {
    const limit = ratelimit(scopes);
    const first = await decide(limit, 'ada');
    await decide(limit, 'ada');
    const denied = await decide(limit, 'ada');
    expect(denied.tiers[1]).toMatchObject({ remaining: 0, resetUs: first.nowUs + 60_000_000 });
    expect(denied.tiers[0]).toMatchObject({ remaining: 3 });
  });

  test('only the first denial of a window is marked as such', async () => {
    const limit = ratelimit(scopes);
    const decisions = [];
    for (let i = 0; i < 6; i += 1) decisions.push(await decide(limit, 'ada'));
    expect(decisions.map(({ first }) => first)).toEqual([false, false, true, false, false, false]);
  });

  test('a trip that is sent twice is counted once', async () => {
    const request = JSON.stringify({
      nonce: 'n',
      consume: true,
      scopes: [{ scope: 'user', tiers: [[1, 60_000_000, '1/min']] }],
    });
    const once = () => gateway.redis.client.eval(limitScript, 1, keys.limit('ada', 'user'), request);
    expect(await once()).toEqual([
      1,
      0,
      [[0, expect.any(String), 1, '60000000', '1/min', 'user']],
      expect.any(String),
    ]);
    expect(await once()).toEqual([
      1,
      0,
      [[0, expect.any(String), 1, '60000000', '1/min', 'user']],
      expect.any(String),
    ]);
    expect(await gateway.redis.client.zcard(keys.limit('ada', 'user'))).toBe(1);
  });

  test('keys expire with their longest window', async () => {
    await decide(ratelimit(scopes), 'ada');
    const ttl = await gateway.redis.client.pttl(keys.limit('ada', 'user'));
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(60_000);
  });

  test('a scope without tiers limits nothing and stores nothing', async () => {
    const decision = await decide(ratelimit([{ scope: 'ip', tiers: [] }]), '10.0.0.1');
    expect(decision).toMatchObject({ allowed: true, tiers: [] });
    expect(await gateway.redis.client.keys('*')).toEqual([]);
  });
});

describe('Limiter', () => {
  const limits = {
    user: [{ name: '3/min', limit: 3, windowMs: 60_000 }],
    ip: [],
    'containers.start': [{ name: '1/min', limit: 1, windowMs: 60_000 }],
    'containers.actions': [],
    'containers.files': [],
    webhooks: [],
    admin: [],
  };

  test('a peek consumes nothing and reads the consumption of others', async () => {
    const limiter = new Limiter(client(), limits);
    await limiter.charge('ada', ['user']);
    await limiter.peek('ada', ['user', 'containers.start']);
    const { tiers } = await limiter.peek('ada', ['user', 'containers.start']);
    expect(tiers).toMatchObject([
      { name: '3/min', remaining: 2 },
      { name: 'containers.start 1/min', remaining: 1 },
    ]);
  });

  test('rejects when Redis does not answer in time, and never admits a request on its own', async () => {
    const limiter = new Limiter(client(100), limits);
    await limiter.charge('ada', ['user']);
    gateway.redis.freeze();
    try {
      await expect(limiter.charge('ada', ['user'])).rejects.toThrow();
    } finally {
      gateway.redis.thaw();
    }
  });
});
