import { type Decision, type TierState, tightest } from './decision.ts';

/**
 * Builds the headers of a limited answer: X-RateLimit-* of the tightest tier (reset in epoch seconds), and
 * all tiers as RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-10 (q requests in w
 * seconds; r left, the next request possible in t seconds).
 */
export function rateLimitHeaders(decision: Decision): Record<string, string> {
  const tier = tightest(decision);
  if (!tier) return {};
  const seconds = ({ resetUs }: TierState) => Math.max(0, Math.ceil((resetUs - decision.nowUs) / 1e6));
  return {
    'X-RateLimit-Limit': `${tier.limit}`,
    'X-RateLimit-Remaining': `${tier.remaining}`,
    'X-RateLimit-Reset': `${Math.ceil(tier.resetUs / 1e6)}`,
    'RateLimit-Policy': decision.tiers
      .map((t) => `"${t.name}";q=${t.limit};w=${t.windowMs / 1000}`)
      .join(', '),
    RateLimit: decision.tiers.map((t) => `"${t.name}";r=${t.remaining};t=${seconds(t)}`).join(', '),
  };
}
