import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Decision, TierState } from './decision.ts';
import { Denials } from './denials.ts';

type Tier = { limit: number; windowMs: number };
/** The admitted requests of one scope, µs. */
type Log = { tiers: Tier[]; admitted: number[] };

/** Decides as the limiter's script does, on logs in memory, at any time. */
function decide(logs: Log[], nowUs: number, consume: boolean): Decision {
  const tiers = logs.flatMap(({ tiers, admitted }) =>
    tiers.map(({ limit, windowMs }, i): TierState => {
      const used = admitted.filter((at) => at > nowUs - windowMs * 1000);
      const nth = used.at(-Math.min(used.length, limit));
      const resetUs = nth === undefined ? nowUs : nth + windowMs * 1000;
      return { name: `${i}`, limit, windowMs, remaining: Math.max(0, limit - used.length), resetUs };
    }),
  );
  const allowed = tiers.every(({ remaining }) => remaining > 0);
  if (allowed && consume) for (const { admitted } of logs) admitted.push(nowUs);
  return { allowed, first: false, nowUs, tiers };
}

const tiers = fc.array(
  fc.record({ limit: fc.integer({ min: 1, max: 5 }), windowMs: fc.integer({ min: 5, max: 3000 }) }),
  { minLength: 1, maxLength: 3 },
);
/** One request: the time since the one before, its scopes, and the time of the trip there and back, ms. */
const request = fc.record({
  pauseMs: fc.integer({ min: 0, max: 400 }),
  both: fc.boolean(),
  thereMs: fc.integer({ min: 0, max: 50 }),
  backMs: fc.integer({ min: 0, max: 50 }),
});

describe('a remembered denial', () => {
  test('is of a request that the limiter would deny too, for any tiers, scopes, trips and clocks', () => {
    let repeated = 0;
    const property = fc.property(
      tiers,
      tiers,
      fc.array(request, { minLength: 5, maxLength: 60 }),
      fc.integer({ min: -5000, max: 5000 }),
      (user, route, requests, offsetMs) => {
        const logs = [
          { tiers: user, admitted: [] },
          { tiers: route, admitted: [] },
        ];
        const denials = new Denials();
        // The clock of Redis is not that of the isolate.
        let now = 1_000_000;
        const redisUs = (ms: number) => (ms + offsetMs) * 1000;
        for (const { pauseMs, both, thereMs, backMs } of requests) {
          now += pauseMs;
          const asked = both ? logs : logs.slice(0, 1);
          const denial = denials.find(both ? 'both' : 'user', now);
          if (denial) {
            repeated += 1;
            expect(decide(asked, redisUs(now), false).allowed).toBe(false);
            expect(denial).toMatchObject({ allowed: false, first: false });
            continue;
          }
          const decision = decide(asked, redisUs(now + thereMs), true);
          denials.note(both ? 'both' : 'user', decision, now, now + thereMs + backMs);
          now += thereMs + backMs;
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
    expect(repeated).toBeGreaterThan(100);
  });

  const full = { limit: 1, windowMs: 60_000 };

  test('reports the remaining wait as time passes', () => {
    const denials = new Denials();
    const logs = [{ tiers: [full], admitted: [1_000_000_000] }];
    denials.note('ada', decide(logs, 1_001_000_000, true), 1000, 1010);
    const [first, second] = [denials.find('ada', 1010), denials.find('ada', 1510)];
    expect(first?.nowUs).toBe(1_001_000_000);
    expect(second?.nowUs).toBe(1_001_500_000);
    expect(second?.tiers).toEqual(first?.tiers);
  });

  test('is confirmed with the limiter once a second, and deleted when the limiter admits', () => {
    const denials = new Denials();
    const logs = [{ tiers: [full], admitted: [1_000_000_000] }];
    denials.note('ada', decide(logs, 1_001_000_000, true), 1000, 1000);
    expect(denials.find('ada', 1999)).toBeDefined();
    expect(denials.find('ada', 2000)).toBeUndefined();
    expect(denials.find('ada', 2000)).toBeDefined();
    denials.note('ada', { allowed: true, first: false, nowUs: 0, tiers: [] }, 2000, 2010);
    expect(denials.find('ada', 2010)).toBeUndefined();
  });

  test('is one of at most ten thousand', () => {
    const denials = new Denials();
    const denied = decide([{ tiers: [full], admitted: [1_000_000_000] }], 1_001_000_000, true);
    for (let i = 0; i <= 10_000; i += 1) denials.note(`u-${i}`, denied, 1000, 1000);
    expect(denials.find('u-0', 1000)).toBeUndefined();
    expect(denials.find('u-1', 1000)).toBeDefined();
  });
});
