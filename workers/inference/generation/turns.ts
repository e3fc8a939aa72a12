import { keys } from '@warmwind/shared/keys';
import type { Redis } from 'ioredis';
import { giveTurnBackScript } from './turn.lua.ts';

/** The turns that a queue's limiter gives: every delivery takes one, also one in which nothing could be done. */
export class Turns {
  readonly #redis: Redis;
  readonly #limiter: string;
  readonly #windowMs: number;

  /** @param redis a prompt connection to the queue Redis */
  constructor(redis: Redis, queue: string, windowMs: number) {
    this.#redis = redis;
    this.#limiter = `${keys.bull(queue)}:${queue}:limiter`;
    this.#windowMs = windowMs;
  }

  /** A turn that was taken at `takenAt` (ms since 1970) was for nothing: another job may have it. Never rejects. */
  async giveBack(takenAt: number): Promise<void> {
    const agoMs = Math.max(0, Date.now() - takenAt);
    await this.#redis
      .eval(giveTurnBackScript, 1, this.#limiter, this.#windowMs, agoMs)
      .catch(() => undefined);
  }
}
