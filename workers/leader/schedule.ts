import { keys } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { QueueWorker } from '../liveness/queue-worker.ts';
import { loop } from '../loop.ts';
import { MAX_DEATHS } from '../runtime/worker.ts';
import type { LeaderTask } from './leader.ts';

const QUEUE = 'cleanup';
/** The interval at which the schedule is written again, ms: Redis may have lost it. */
const SCHEDULE_EVERY_MS = 5000;

export type ScheduleOptions = {
  /** The boot id of this process. */
  boot: string;
  /** A queueing connection to the queue Redis. */
  redis: Redis;
  queue: (name: string) => Queue;
  task: LeaderTask;
  log: Logger;
};

/**
 * Runs a task of the fleet as a repeated job of the queue `cleanup`. One worker of the fleet takes each run.
 */
export class Schedule {
  readonly #o: ScheduleOptions;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #worker: Worker | undefined;

  constructor(options: ScheduleOptions) {
    this.#o = options;
  }

  start(): void {
    const { boot, redis, queue, task, log } = this.#o;
    const { name, everyMs: every, run } = task;
    const { signal } = this.#stopped;
    const worker = new QueueWorker(boot, QUEUE, () => run(signal).then(() => undefined), {
      connection: redis,
      prefix: keys.bullmqPrefix(QUEUE),
      lockDuration: 10_000,
      stalledInterval: 5000,
      maxStalledCount: MAX_DEATHS,
    });
    this.#worker = worker;
    worker.on('error', (error) => log.warn({ queue: QUEUE, err: error }, 'queue worker'));
    worker.run().catch((error: unknown) => worker.emit('error', error as Error));
    this.#running = loop('schedule', log, signal, async () => {
      const opts = { removeOnComplete: { count: 10 }, removeOnFail: { count: 10 } };
      await queue(QUEUE).upsertJobScheduler(name, { every }, { name, opts });
      return SCHEDULE_EVERY_MS;
    });
  }

  /** Resolves when the task no longer runs here. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([this.#worker?.close(), this.#running]);
  }
}
