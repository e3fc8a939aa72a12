import { keys } from '@warmwind/shared/engine/keys';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { RateLimiterOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { returnTurn, takeTurn } from './turn.lua.ts';

/** The turns that a queue's limiter gives: every delivery takes one, also one in which nothing could be done. */
export class Turns {
  readonly #redis: Redis;
  readonly #key: { limiter: string };
  readonly #limiter: RateLimiterOptions;

  /** @param redis a connection to the queue Redis */
  constructor(redis: Redis, queue: string, limiter: RateLimiterOptions) {
    this.#redis = redis;
    this.#key = { limiter: `${keys.bullmqPrefix(queue)}:${queue}:limiter` };
    this.#limiter = limiter;
  }

  /**
   * Counts the turn of a delivery as its user's. Never rejects.
   * @returns 0, or how long the job must wait, ms, as its user has their share of this window; the turn is given back then
   */
  async take(user: string): Promise<number> {
    return runScript(this.#redis, takeTurn, this.#key, { user, max: this.#limiter.max }).catch(() => 0);
  }

  /**
   * A turn that was taken at `takenAt` (ms since 1970) was for nothing: another job may have it. Never rejects.
   * @param user whose it was counted as, if it was
   */
  async release(takenAt: number, user = ''): Promise<void> {
    const agoMs = Math.max(0, Date.now() - takenAt);
    const args = { windowMs: this.#limiter.duration, agoMs, user };
    await runScript(this.#redis, returnTurn, this.#key, args).catch(() => undefined);
  }
}
