import { Ratelimit } from '@upstash/ratelimit';
import type { Redis } from '@upstash/redis/cloudflare';
import type { LimitScope, RateLimits } from '@warmwind/shared/limits';
import type { Decision, Scope } from './decision.ts';
import { slidingLog } from './sliding-log.ts';

/** The deployment's tiers on one Redis. Every question is one trip and throws when Redis does not answer in time. */
export class Limiter {
  readonly #redis: Redis;
  readonly #limits: RateLimits;
  readonly #ratelimits = new Map<string, Ratelimit>();

  /** @param redis a client that bounds its trips itself; see `createRedis` */
  constructor(redis: Redis, limits: RateLimits) {
    this.#redis = redis;
    this.#limits = limits;
  }

  /** Counts one request of `subject` (a user or an address) against all tiers of `scopes`, or none when one is full. */
  async charge(subject: string, scopes: readonly LimitScope[]): Promise<Decision> {
    return decisionOf(await this.#ratelimit(scopes).limit(subject));
  }

  /** Where `subject` stands, without counting anything. */
  async peek(subject: string, scopes: readonly LimitScope[]): Promise<Decision> {
    return decisionOf(await this.#ratelimit(scopes).getRemaining(subject));
  }

  /** The tiers of `scopes`, for a script that decides them together with other things. */
  scopes(scopes: readonly LimitScope[]): Scope[] {
    return scopes.map((scope) => ({ scope, tiers: this.#limits[scope] }));
  }

  #ratelimit(scopes: readonly LimitScope[]): Ratelimit {
    const name = scopes.join();
    const known = this.#ratelimits.get(name);
    if (known) return known;
    const created = new Ratelimit({
      redis: this.#redis,
      limiter: slidingLog(this.scopes(scopes)),
      // Its cache would block until a window's end, its time-out would let requests pass: both are decided elsewhere.
      ephemeralCache: false,
      timeout: 0,
      analytics: false,
      enableTelemetry: false,
    });
    this.#ratelimits.set(name, created);
    return created;
  }
}

function decisionOf(answer: object): Decision {
  if ('decision' in answer) return answer.decision as Decision;
  throw new TypeError('the rate limiter answered without a decision');
}
