import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type JobError } from '@warmwind/shared/contract/jobs';
import { createsContainers } from '@warmwind/shared/contract/registry';
import { keys } from '@warmwind/shared/engine/keys';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { Records } from '@warmwind/shared/engine/node/records';
import { hostQueues, JOB_QUEUES, type JobData } from '@warmwind/shared/engine/queues';
import { containersOf } from '@warmwind/shared/engine/refs';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import { skipFaulty } from '../each.ts';
import type { Metrics } from '../metrics.ts';
import { readJobData } from '../runtime/data.ts';
import { failure, readFailedReason } from '../runtime/failures.ts';
import { createSkip } from '../skip.ts';

const LOOK_FOR_HOSTS_MS = 1000;
const BLOCK_MS = 5000;
const BATCH = 200;

export type ObserverOptions = {
  /** A queueing connection to the queue Redis. */
  redis: Redis;
  records: Records;
  metrics: Pick<Metrics, 'recordsSkipped'>;
  log: Logger;
};

type QueueEvent = { event: 'added' | 'failed'; jobId: string };

/**
 * Reads BullMQ's event streams and publishes events that no other part can: a job waits (the edge can't reach
 * the realtime Redis), and a run has ended whose workers died. It continues where its predecessor stopped; an
 * event that it publishes twice is stored once. It reads the streams directly: BullMQ's `QueueEvents` does
 * not wait for its listeners, so a cursor could pass an unpublished event.
 */
export class Observer {
  readonly #o: ObserverOptions;

  constructor(options: ObserverOptions) {
    this.#o = options;
  }

  /** Follows every queue, including those of new hosts, until `signal` is aborted. */
  async watch(signal: AbortSignal): Promise<void> {
    const followed = new Map<string, { stop: AbortController; done: Promise<void> }>();
    while (!signal.aborted) {
      const hosts = await this.#o.redis.zrange(keys.hosts(), '0', '-1').catch(() => undefined);
      if (hosts) {
        const wanted = new Set<string>([...JOB_QUEUES, ...hosts.flatMap(hostQueues)]);
        for (const queue of wanted) {
          if (followed.has(queue)) continue;
          const stop = new AbortController();
          followed.set(queue, { stop, done: this.#follow(queue, AbortSignal.any([signal, stop.signal])) });
        }
        for (const [queue, { stop }] of followed) {
          if (wanted.has(queue)) continue;
          stop.abort();
          followed.delete(queue);
        }
      }
      await sleep(LOOK_FOR_HOSTS_MS, undefined, { signal }).catch(() => undefined);
    }
    await Promise.all([...followed.values()].map(({ done }) => done));
  }

  async #follow(queue: string, signal: AbortSignal): Promise<void> {
    const { redis, log, metrics } = this.#o;
    const skip = createSkip(log, 'observer', metrics);
    const reader = redis.duplicate();
    reader.on('error', () => undefined);
    const stop = () => reader.disconnect();
    signal.addEventListener('abort', stop, { once: true });
    while (!signal.aborted) {
      try {
        const cursor = (await redis.hget(keys.observerCursor(), queue)) ?? '0-0';
        const stream = `${keys.bullmqPrefix(queue)}:${queue}:events`;
        const read = await reader.xread('COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', stream, cursor);
        const entries = read?.[0]?.[1] ?? [];
        const last = entries.at(-1)?.[0];
        if (last === undefined) continue;
        for (const [, fields] of entries) {
          const event = readEvent(fields);
          if (event && !signal.aborted) await skipFaulty(event, (one) => this.#handle(queue, one), skip);
        }
        if (!signal.aborted) await redis.hset(keys.observerCursor(), queue, last);
      } catch (error) {
        if (signal.aborted) break;
        // The ledger reports its own outage.
        if (!(error instanceof LedgerUnavailableError))
          log.warn({ queue, err: error }, 'queue events not read: retried');
        await sleep(1000, undefined, { signal }).catch(() => undefined);
      }
    }
    signal.removeEventListener('abort', stop);
    reader.disconnect();
  }

  async #handle(queue: string, { event, jobId }: QueueEvent): Promise<void> {
    const { redis, records } = this.#o;
    const entry = `${keys.bullmqPrefix(queue)}:${queue}:${jobId}`;
    const [text = null, reason = null] = await redis.hmget(entry, 'data', 'failedReason');
    const data = readJobData(text);
    if (!data) return;
    const job = await records.jobs.status(data.userId, data.jobId);
    if (!job || job.run !== data.run) return;
    if (event === 'added') {
      if (!isTerminal(job.state)) await records.jobs.queued(data);
      return;
    }
    if (isTerminal(job.state)) return records.jobs.republishEnds(data);
    await this.#lostRun(data, readFailedReason(reason));
  }

  /**
   * Ends a run that BullMQ failed and its record holds open. All of its workers died, or a killed Redis lost
   * the end in the record but kept the later one in BullMQ.
   */
  async #lostRun(data: JobData, reason: JobError | undefined): Promise<void> {
    const { records, log } = this.#o;
    const error = reason ?? failure('worker_lost');
    log.error(
      { jobId: data.jobId, requestId: data.requestId, userId: data.userId },
      'job failed in BullMQ without an end in its record: ended',
    );
    for (const container of createsContainers(data.kind) ? containersOf(data) : []) {
      const record = await records.containers.get(container);
      if (record?.state === 'requested' || record?.state === 'starting') {
        await records.containers.change(record, { to: 'failed', fence: record.fence, error });
      }
    }
    await records.jobs.end(data, { state: error.code === 'timed_out' ? 'timed_out' : 'failed', error });
  }
}

/** Parses BullMQ's flat field list. @returns `undefined` for events that are not followed */
function readEvent(fields: string[]): QueueEvent | undefined {
  let event = '';
  let jobId = '';
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if (fields[i] === 'event') event = fields[i + 1] ?? '';
    if (fields[i] === 'jobId') jobId = fields[i + 1] ?? '';
  }
  return (event === 'added' || event === 'failed') && jobId ? { event, jobId } : undefined;
}
