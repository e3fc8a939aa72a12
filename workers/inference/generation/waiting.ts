import { keys } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { loop } from '../../loop.ts';
import { promote } from '../../runtime/enqueue.ts';

/** Time that an entry is kept after the last job was added to it, ms: longer than the delay of any job. */
const KEPT_MS = 60_000;
/** Duration of one blocking pop, s: the models of this worker may change meanwhile. */
const POP_S = 1;
/** Interval at which a worker without a free slot looks for one, ms. */
const SLOT_EVERY_MS = 100;
/** Pause after a promotion, ms. It bounds how often jobs reach workers that lack their model. */
const PAUSE_MS = 25;

export type WaitingJobsOptions = {
  /** A queueing connection to the queue Redis, which is duplicated. */
  redis: Redis;
  /** The queue in which the jobs are delayed. */
  queue: Queue;
  /** The models that this worker can answer for now; none while its slots are taken. */
  models: () => string[];
  log: Logger;
};

/**
 * The jobs that were requeued by a worker that lacks their model. BullMQ hands a job to any worker, so
 * without this a job would find its model by chance, and its delay grows with each miss. A worker that serves
 * the model and has a free slot promotes the longest waiting job at once.
 */
export class WaitingJobs {
  readonly #o: WaitingJobsOptions;
  readonly #redis: Redis;
  readonly #stop = new AbortController();
  #promoting: Promise<void> | undefined;

  constructor(options: WaitingJobsOptions) {
    this.#o = options;
    // Pops block, so they have a dedicated connection.
    this.#redis = options.redis.duplicate({ socketTimeout: POP_S * 5000 });
    // The duplicated connection reports an unavailable Redis.
    this.#redis.on('error', () => undefined);
  }

  start(): void {
    this.#promoting ??= loop('waiting jobs', this.#o.log, this.#stop.signal, () => this.#promoteNext());
  }

  /** Stops promoting jobs. Never rejects. */
  async close(): Promise<void> {
    this.#stop.abort();
    if (this.#promoting) this.#redis.disconnect();
    else await disconnect(this.#redis);
    await this.#promoting;
  }

  /**
   * Adds a job that is delayed. Never rejects: an entry that is lost costs the rest of the delay.
   * @param jobId BullMQ's id
   * @param queuedAt ms since 1970
   */
  async add(model: string, jobId: string, queuedAt: number): Promise<void> {
    const key = keys.waitingForModel(model);
    const add = this.#o.redis.multi().zadd(key, queuedAt, jobId).pexpire(key, KEPT_MS);
    await add.exec().catch(() => undefined);
  }

  /** @returns ms until the next turn is due */
  async #promoteNext(): Promise<number> {
    const models = this.#o.models();
    if (models.length === 0) return SLOT_EVERY_MS;
    const [, jobId] = (await this.#redis.bzpopmin(...models.map(keys.waitingForModel), POP_S)) ?? [];
    if (jobId === undefined) return 0;
    return (await promote(this.#o.queue, jobId)) ? PAUSE_MS : 0;
  }
}
