import { keys } from '@warmwind/shared/keys';
import type { RateLimiterOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { giveTurnBackScript, takeTurnScript } from './turn.lua.ts';

/** The turns that a queue's limiter gives: every delivery takes one, also one in which nothing could be done. */
export class Turns {
  readonly #redis: Redis;
  readonly #keys: [limiter: string, users: string];
  readonly #limiter: RateLimiterOptions;

  /** @param redis a connection to the queue Redis */
  constructor(redis: Redis, queue: string, limiter: RateLimiterOptions) {
    this.#redis = redis;
    const key = `${keys.bull(queue)}:${queue}:limiter`;
    this.#keys = [key, `${key}:users`];
    this.#limiter = limiter;
  }

  /**
   * Counts the turn of a delivery as its user's. Never rejects.
   * @returns 0, or how long the job must wait, ms, as its user has their share of this window; the turn is given back then
   */
  async take(user: string): Promise<number> {
    const answer = this.#redis.eval(takeTurnScript, 2, ...this.#keys, user, this.#limiter.max);
    return Number(await answer.catch(() => 0));
  }

  /**
   * A turn that was taken at `takenAt` (ms since 1970) was for nothing: another job may have it. Never rejects.
   * @param user whose it was counted as, if it was
   */
  async giveBack(takenAt: number, user = ''): Promise<void> {
    const agoMs = Math.max(0, Date.now() - takenAt);
    await this.#redis
      .eval(giveTurnBackScript, 2, ...this.#keys, this.#limiter.duration, agoMs, user)
      .catch(() => undefined);
  }
}
