import { isTerminal } from '@warmwind/shared/contract/jobs';
import { createsContainers } from '@warmwind/shared/contract/registry';
import { CANCELLED_CHANNEL, keys } from '@warmwind/shared/engine/keys';
import type { Records } from '@warmwind/shared/engine/node/records';
import { queueJobId } from '@warmwind/shared/engine/queues';
import type { Cancelled } from '@warmwind/shared/engine/records';
import { type ContainerRef, containersOf, type JobRef } from '@warmwind/shared/engine/refs';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { each } from '../each.ts';
import type { Metrics } from '../metrics.ts';
import { createSkip, type Skip } from '../skip.ts';

/** How many cancellations one pass handles, the oldest first. */
const MAX_PER_PASS = 1000;
const CONCURRENCY = 8;
/** The life of a marker whose cancellation never reached the record, ms. */
const ABANDONED_AFTER_MS = 60_000;

/** A member of `keys.cancellations()`, `<user>/<job>`, and the time of the request, ms since 1970. */
type Marker = { key: string; askedAt: number };

export type CancellationFollowUpOptions = {
  /** A queueing connection to the queue Redis. */
  redis: Redis;
  records: Records;
  /** Returns a queue by its name. */
  queue: (name: string) => Queue;
  /** Ends the container of a cancelled start at a host, or at `''` while it has none. */
  endContainer: (container: ContainerRef, hostName: string) => Promise<void>;
  metrics?: Pick<Metrics, 'recordsSkipped'>;
  log: Logger;
};

/**
 * Completes cancellations: publishes their ends, removes waiting runs from their queues, and ends the
 * containers of cancelled starts. Each cancellation has a marker until all of that is done.
 */
export class CancellationFollowUp {
  readonly #o: CancellationFollowUpOptions;
  readonly #skip: Skip<Marker>;

  constructor(options: CancellationFollowUpOptions) {
    this.#o = options;
    this.#skip = createSkip(options.log, 'cancellations', options.metrics);
  }

  /** Follows up every marker and removes those that are complete. */
  async followAll(): Promise<void> {
    const { redis } = this.#o;
    const found = await redis.zrange(keys.cancellations(), '0', `${MAX_PER_PASS - 1}`, 'WITHSCORES');
    const markers = found.flatMap((key, i) => (i % 2 === 0 ? [{ key, askedAt: Number(found[i + 1]) }] : []));
    await each(markers, CONCURRENCY, (marker) => this.#followMarker(marker), this.#skip);
  }

  /** Follows up one cancellation immediately, before the next pass. Never rejects. */
  async follow({ userId, jobId }: Cancelled): Promise<void> {
    await this.#follow(userId, jobId, false).catch((error: unknown) =>
      this.#o.log.warn({ jobId, err: error }, 'cancellation not followed up: retried until it is complete'),
    );
  }

  async #followMarker({ key, askedAt }: Marker): Promise<void> {
    const { redis } = this.#o;
    const slash = key.lastIndexOf('/');
    const verdict = await this.#follow(key.slice(0, slash), key.slice(slash + 1), true);
    const isSettled = verdict === 'nothing' ? Date.now() - askedAt > ABANDONED_AFTER_MS : verdict === 'done';
    if (isSettled) await redis.zrem(keys.cancellations(), key);
  }

  /**
   * Follows up the cancelled runs of one job.
   * @param republish whether to publish the cancellation again for hosts that have not ended their containers
   * @returns `nothing` when its latest run has not ended: the marker precedes the cancellation
   */
  async #follow(userId: string, jobId: string, republish: boolean): Promise<'done' | 'open' | 'nothing'> {
    const { records, queue } = this.#o;
    const latest = await records.jobs.status(userId, jobId);
    const ended = (await records.jobs.endedRuns(userId, jobId)) ?? [];
    let open = false;
    for (const run of ended.filter(({ end }) => end.state === 'cancelled')) {
      await records.jobs.republishEnds(run.ref);
      // An active entry can't be removed: its worker receives the cancellation.
      await queue(run.queue)
        .remove(queueJobId(jobId, run.ref.run))
        .catch(() => undefined);
      for (const container of created(run.ref)) {
        open = !(await this.#containerGone(run.ref, container, republish)) || open;
      }
    }
    if (open) return 'open';
    return latest && isTerminal(latest.state) ? 'done' : 'nothing';
  }

  async #containerGone(run: JobRef, container: ContainerRef, republish: boolean): Promise<boolean> {
    const { records, redis, endContainer } = this.#o;
    const record = await records.containers.get(container);
    if (record?.state !== 'stopping') return true;
    if (!record.host) {
      await endContainer(container, '');
      return true;
    }
    if (republish) await redis.publish(CANCELLED_CHANNEL, JSON.stringify(run satisfies Cancelled));
    return false;
  }
}

const created = (run: JobRef): ContainerRef[] => (createsContainers(run.kind) ? containersOf(run) : []);
