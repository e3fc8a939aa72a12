import { isId, isUserId } from '@warmwind/shared/ids';
import { JOB_KINDS } from '@warmwind/shared/jobs';
import { CANCELLED_CHANNEL } from '@warmwind/shared/keys';
import type { Logger } from '@warmwind/shared/node/log';
import { disconnect } from '@warmwind/shared/node/redis';
import { type Cancelled, MAX_JOB_CONTAINERS } from '@warmwind/shared/records';
import type { Redis } from 'ioredis';
import { z } from 'zod';

const Message = z.object({
  userId: z.string().refine(isUserId),
  jobId: z.string().refine(isId),
  run: z.number().int().min(1),
  kind: z.enum(JOB_KINDS),
  containerId: z.union([z.string().refine(isId), z.literal('')]),
  containerIds: z.array(z.string().refine(isId)).max(MAX_JOB_CONTAINERS).optional(),
});

/**
 * Hears of runs the moment they are cancelled. What is missed while its connection is away is made up for by the workers'
 * own looks, and by who follows cancellations up: it says them again until they are done.
 */
export class Cancellations {
  readonly #redis: Redis;
  readonly #log: Logger;
  readonly #hear: (cancelled: Cancelled) => void;

  /** @param redis a patient connection to the queue Redis, which is used as a model for one of its own */
  constructor(redis: Redis, log: Logger, hear: (cancelled: Cancelled) => void) {
    this.#redis = redis.duplicate();
    this.#log = log;
    this.#hear = hear;
    // The model tells of itself when Redis is away.
    this.#redis.on('error', () => undefined);
    this.#redis.on('message', (_, text) => this.#read(text));
  }

  /** ioredis subscribes again by itself after a lost connection. */
  start(): void {
    this.#redis
      .subscribe(CANCELLED_CHANNEL)
      .catch((error: unknown) => this.#log.warn({ err: error }, 'cancellations are not heard'));
  }

  async close(): Promise<void> {
    await disconnect(this.#redis);
  }

  #read(text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    const cancelled = Message.safeParse(message);
    if (cancelled.success) this.#hear(cancelled.data);
  }
}
