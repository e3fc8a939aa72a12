import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import type { LimitScope, RateLimits } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import { limitRequests } from '@warmwind/shared/engine/scripts/limit.lua';
import { scriptTier } from '@warmwind/shared/engine/user-limits';
import { inWords } from '@warmwind/shared/runtime/durations';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { Redis } from 'ioredis';

/** Counts calls that come by the socket against the same limits as those that come by the edge. */
export class CallLimiter {
  readonly #redis: Redis;
  readonly #limits: RateLimits;

  /** @param redis the queue Redis, a fail-fast connection */
  constructor(redis: Redis, limits: RateLimits) {
    this.#redis = redis;
    this.#limits = limits;
  }

  /** Counts one call. @throws ApiError `rate_limited`, or `unavailable` while Redis is */
  async charge(userId: string, scopes: readonly LimitScope[]): Promise<void> {
    const request = {
      nonce: newId(),
      consume: true,
      scopes: scopes.map((scope) => ({
        scope,
        tiers: this.#limits[scope].map(scriptTier),
      })),
    };
    const logs = scopes.map((scope) => keys.limit(userId, scope));
    const args = { request: JSON.stringify(request) };
    const subject = { logs, own: keys.userLimits(userId) };
    const [allowed, , tiers, now] = await runScript(this.#redis, limitRequests, subject, args).catch(
      (): never => {
        throw new ApiError('unavailable', 'The rate limiter did not answer: retry.', { retryAfterMs: 1000 });
      },
    );
    if (allowed === 1) return;
    const full = tiers.filter(([remaining]) => remaining === 0).map(([, resetUs]) => Number(resetUs));
    const retryAfterMs = Math.max(1, Math.ceil((Math.max(...full) - Number(now)) / 1000));
    throw new ApiError('rate_limited', `Over the limit: try again in ${inWords(retryAfterMs)}.`, {
      retryAfterMs,
    });
  }
}
