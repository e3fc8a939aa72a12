import type { LimitScope, Tier } from '@warmwind/shared/contract/limits';
import type { ScriptScope } from '@warmwind/shared/engine/records';
import type { RawDecision } from '@warmwind/shared/engine/scripts/limit.lua';
import { scriptTier } from '@warmwind/shared/engine/user-limits';

/** A scope and the tiers that its one log of requests must satisfy. */
export type Scope = { scope: LimitScope; tiers: Tier[] };

/** The state of one tier after a decision. `name` is unique among all tiers of a request. */
export type TierState = Tier & {
  remaining: number;
  /** When the tier next has room for one more request, µs since 1970 by Redis's clock. */
  resetUs: number;
};

/** The decision of the limiter on one request. */
export type Decision = {
  allowed: boolean;
  /** The first denial since the window of the last one ended: it is logged. */
  first: boolean;
  /** Redis's clock at the decision, µs since 1970. */
  nowUs: number;
  tiers: TierState[];
};

/** Parses the answer of the Lua limiter. Its tiers are those that hold for the user. */
export const readDecision = ([allowed, first, tiers, now]: RawDecision): Decision => ({
  allowed: allowed === 1,
  first: first === 1,
  nowUs: Number(now),
  tiers: tiers.map(([remaining, reset, limit, windowUs, name, scope]) => ({
    name: scope === 'user' ? name : `${scope} ${name}`,
    limit,
    windowMs: Number(windowUs) / 1000,
    remaining,
    resetUs: Number(reset),
  })),
});

/**
 * Finds the tier that a client reaches first: fewest requests left, and of equals the one that takes longest
 * to gain one.
 */
export function tightest({ tiers }: Decision): TierState | undefined {
  let found = tiers[0];
  for (const tier of tiers) {
    if (!found || tier.remaining < found.remaining) found = tier;
    else if (tier.remaining === found.remaining && tier.resetUs > found.resetUs) found = tier;
  }
  return found;
}

/** The time until every tier has room for a request, ms. */
export const waitMs = ({ tiers, nowUs }: Decision): number =>
  Math.max(
    1,
    ...tiers.filter((tier) => tier.remaining === 0).map((tier) => Math.ceil((tier.resetUs - nowUs) / 1000)),
  );

/** Converts `scopes` for Lua. */
export const scopesForLua = (scopes: Scope[]): ScriptScope[] =>
  scopes.map(({ scope, tiers }) => ({ scope, tiers: tiers.map(scriptTier) }));
