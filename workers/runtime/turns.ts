import { keys } from '@warmwind/shared/engine/keys';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { RateLimiterOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { releaseTurn, takeTurn } from './turn.lua.ts';

/** The turns of a queue's limiter. Every delivery takes one, even if it can do no work. */
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
   * Counts the turn of a delivery for its user. Never rejects.
   * @returns 0, or the ms that the job must wait because its user has their share of this window; the turn is
   * then released
   */
  async take(user: string): Promise<number> {
    return runScript(this.#redis, takeTurn, this.#key, { user, max: this.#limiter.max }).catch(() => 0);
  }

  /**
   * Releases an unused turn for another job. Never rejects.
   * @param takenAt when the turn was taken, ms since 1970
   * @param user the user for whom it was counted, if any
   */
  async release(takenAt: number, user = ''): Promise<void> {
    const agoMs = Math.max(0, Date.now() - takenAt);
    const args = { windowMs: this.#limiter.duration, agoMs, user };
    await runScript(this.#redis, releaseTurn, this.#key, args).catch(() => undefined);
  }
}
