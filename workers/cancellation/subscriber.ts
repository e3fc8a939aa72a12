import { isId, isUserId } from '@warmwind/shared/contract/ids';
import { JOB_KINDS } from '@warmwind/shared/contract/jobs';
import { CANCELLED_CHANNEL } from '@warmwind/shared/engine/keys';
import { type Cancelled, MAX_JOB_CONTAINERS } from '@warmwind/shared/engine/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { disconnect } from '@warmwind/shared/runtime/node/redis';
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
 * Receives the cancellations that `shared/engine/scripts/cancel.lua.ts` publishes. Workers detect a message
 * that was lost with the connection by their own checks of active runs, and the follow-up publishes it again
 * until it is complete.
 */
export class CancellationSubscriber {
  readonly #redis: Redis;
  readonly #log: Logger;
  readonly #onCancelled: (cancelled: Cancelled) => void;

  /** @param redis a queueing connection to the queue Redis; the subscriber opens a duplicate */
  constructor(redis: Redis, log: Logger, onCancelled: (cancelled: Cancelled) => void) {
    this.#redis = redis.duplicate();
    this.#log = log;
    this.#onCancelled = onCancelled;
    // The original connection reports an unavailable Redis.
    this.#redis.on('error', () => undefined);
    this.#redis.on('message', (_, text) => this.#read(text));
  }

  /** Subscribes. ioredis subscribes again automatically after a lost connection. */
  start(): void {
    this.#redis
      .subscribe(CANCELLED_CHANNEL)
      .catch((error: unknown) =>
        this.#log.warn(
          { err: error },
          'subscription to cancellations failed: workers detect them by their records',
        ),
      );
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
    if (cancelled.success) this.#onCancelled(cancelled.data);
  }
}
