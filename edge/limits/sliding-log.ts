import type { Ratelimit } from '@upstash/ratelimit';
import { newId } from '@warmwind/shared/contract/ids';
import type { LimitScope } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import { limitRequests } from '@warmwind/shared/engine/scripts/limit.lua';
import { type PreparedScript, prepareScript } from '../redis/redis.ts';
import { type Decision, readDecision, type Scope, scopesForLua, tightest } from './decision.ts';

/**
 * The key of a log. The subject of the scope `ip` is an address, of every other one a user: their counts are
 * separate.
 */
const logOf = (subject: string, scope: LimitScope): string =>
  scope === 'ip' ? keys.addressLimit(subject, scope) : keys.limit(subject, scope);

/** The key of the user's own limits; an address has none. */
const ownOf = (subject: string, scopes: Scope[]): string | undefined =>
  scopes.some(({ scope }) => scope === 'ip') ? undefined : keys.userLimits(subject);

/** The type of every single-region algorithm; the package does not export it by name. */
type RegionAlgorithm = ReturnType<typeof Ratelimit.slidingWindow>;
type Context = Parameters<ReturnType<RegionAlgorithm>['limit']>[0];

/**
 * An algorithm for `Ratelimit`: an exact log of admitted requests. It decides all tiers of all `scopes` in one script and
 * one trip. A denial consumes nothing; no true window (Redis's clock) ever holds more than its limit.
 * The answers carry the complete `Decision` in addition to the fields that `Ratelimit` expects.
 *
 * @example
 * new Ratelimit({ redis, limiter: slidingLog([{ scope: 'user', tiers }]), ephemeralCache: false, timeout: 0 })
 */
export function slidingLog(scopes: Scope[]): RegionAlgorithm {
  let run: PreparedScript<typeof limitRequests> | undefined;

  const decide = async ({ redis, prefix }: Context, identifier: string, consume: boolean) => {
    run ??= prepareScript(redis, limitRequests);
    const subject = identifier.slice(prefix.length + 1);
    const request = { nonce: newId(), consume, scopes: scopesForLua(scopes) };
    const logs = scopes.map(({ scope }) => logOf(subject, scope));
    return readDecision(
      await run({ logs, own: ownOf(subject, scopes) }, { request: JSON.stringify(request) }),
    );
  };
  const summary = (decision: Decision) => {
    const { limit = 0, remaining = 0, resetUs = 0 } = tightest(decision) ?? {};
    return { limit, remaining, reset: Math.ceil(resetUs / 1000), decision };
  };

  return () => ({
    limit: async (context, identifier) => {
      const decision = await decide(context, identifier, true);
      return { ...summary(decision), success: decision.allowed, pending: Promise.resolve() };
    },
    getRemaining: async (context, identifier) => summary(await decide(context, identifier, false)),
    resetTokens: async ({ redis, prefix }, identifier) => {
      const subject = identifier.slice(prefix.length + 1);
      await redis.del(...scopes.map(({ scope }) => logOf(subject, scope)));
    },
  });
}
