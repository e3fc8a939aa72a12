import { Ratelimit } from '@upstash/ratelimit';
import type { Redis } from '@upstash/redis/cloudflare';
import type { LimitScope, RateLimits } from '@warmwind/shared/contract/limits';
import type { Decision, Scope } from './decision.ts';
import { Denials } from './denials.ts';
import { RequestThrottle } from './request-throttle.ts';
import { slidingLog } from './sliding-log.ts';

/** The rate at which cached denials are answered to one subject. */
const CACHED_DENIAL_RATE = { perSecond: 10, burst: 10 };

/**
 * Applies the deployment's tiers on one Redis. Each call is one trip and rejects when Redis does not answer
 * in time.
 */
export class Limiter {
  readonly #redis: Redis;
  readonly #limits: RateLimits;
  readonly #ratelimits = new Map<string, Ratelimit>();
  readonly #denials = new Denials();
  readonly #refusals = new RequestThrottle(CACHED_DENIAL_RATE);

  /** @param redis a client that bounds its trips itself; see `createRedis` */
  constructor(redis: Redis, limits: RateLimits) {
    this.#redis = redis;
    this.#limits = limits;
  }

  /**
   * Counts one request of `subject` (a user or an address) against all tiers of `scopes`, or none when one is
   * full.
   */
  async charge(subject: string, scopes: readonly LimitScope[]): Promise<Decision> {
    const denied = await this.cachedDenial(subject, scopes);
    if (denied) return denied;
    const askedAt = Date.now();
    const decision = decisionOf(await this.#ratelimit(scopes).limit(subject));
    this.note(subject, scopes, decision, askedAt);
    return decision;
  }

  /**
   * Finds a cached denial without a trip. A subject that exceeds `CACHED_DENIAL_RATE` waits for it.
   * @returns `undefined` when the limiter must decide
   */
  async cachedDenial(subject: string, scopes: readonly LimitScope[]): Promise<Decision | undefined> {
    const key = keyOf(subject, scopes);
    if (!this.#denials.find(key)) return undefined;
    await this.#refusals.wait(key);
    // The wait may have lasted longer than the denial.
    return this.#denials.find(key);
  }

  /**
   * Records a decision that another script made.
   * @param askedAt when the script was sent, ms since 1970
   */
  note(subject: string, scopes: readonly LimitScope[], decision: Decision, askedAt: number): void {
    this.#denials.note(keyOf(subject, scopes), decision, askedAt);
  }

  /** Reads the state of the tiers for `subject` without counting a request. */
  async peek(subject: string, scopes: readonly LimitScope[]): Promise<Decision> {
    return decisionOf(await this.#ratelimit(scopes).getRemaining(subject));
  }

  /** The tiers of `scopes`, for a script that decides them with other checks. */
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
      // Its cache would block until a window's end, and its time-out would let requests pass: both are
      // decided elsewhere.
      ephemeralCache: false,
      timeout: 0,
      analytics: false,
      enableTelemetry: false,
    });
    this.#ratelimits.set(name, created);
    return created;
  }
}

const keyOf = (subject: string, scopes: readonly LimitScope[]): string => `${scopes.join()} ${subject}`;

function decisionOf(answer: object): Decision {
  if ('decision' in answer) return answer.decision as Decision;
  throw new TypeError('the rate limiter answered without a decision');
}
