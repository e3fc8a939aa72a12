import { createsContainers } from '@warmwind/shared/contract/registry';
import { isTerminal } from '@warmwind/shared/jobs';
import { CANCELLED_CHANNEL, keys } from '@warmwind/shared/keys';
import type { Logger } from '@warmwind/shared/node/log';
import type { Records } from '@warmwind/shared/node/records';
import { bullJobId } from '@warmwind/shared/queues';
import type { Cancelled } from '@warmwind/shared/records';
import { type ContainerRef, containersOf, type JobRef } from '@warmwind/shared/refs';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { each } from '../each.ts';
import { loop } from '../loop.ts';
import type { Metrics } from '../metrics.ts';
import { createSkip } from '../skip.ts';

const EVERY_MS = 1000;
/** How many cancellations are looked at in one go; the oldest first. */
const MAX = 1000;
const AT_ONCE = 8;
/** How long a cancellation is waited for that was announced and is not in the record, ms. */
const GIVEN_UP_AFTER_MS = 60_000;

export type FollowUpOptions = {
  /** A patient connection to the queue Redis. */
  redis: Redis;
  records: Records;
  /** A queue by its name. */
  queue: (name: string) => Queue;
  /** Ends the desktop of a cancelled start that no host holds. */
  endUnplaced: (container: ContainerRef) => Promise<void>;
  metrics?: Pick<Metrics, 'recordsSkipped'>;
  log: Logger;
};

/**
 * Sees cancellations through, in one process of the fleet: their end is told, what waits leaves its queue, and the
 * desktops of cancelled starts are gone. A marker stands for each until all of that is so.
 */
export class FollowUp {
  readonly #o: FollowUpOptions;
  #leading = false;

  constructor(options: FollowUpOptions) {
    this.#o = options;
  }

  /** Looks at every marker, again and again. Never rejects. */
  async lead(signal: AbortSignal): Promise<void> {
    this.#leading = true;
    const skip = createSkip(this.#o.log, 'cancellations', this.#o.metrics);
    await loop('cancellations', this.#o.log, signal, async () => {
      const { redis } = this.#o;
      const markers = await redis.zrange(keys.cancellations(), '0', `${MAX - 1}`, 'WITHSCORES');
      const wishes = markers.flatMap((key, i) =>
        i % 2 === 0 ? { key, askedAt: Number(markers[i + 1]) } : [],
      );
      await each(wishes, AT_ONCE, ({ key, askedAt }) => this.#see(key, askedAt), skip);
      return EVERY_MS;
    });
    this.#leading = false;
  }

  /** One was heard of: if this process leads, it need not wait for the next look. Never rejects. */
  async heard({ userId, jobId }: Cancelled): Promise<void> {
    if (!this.#leading) return;
    await this.#follow(userId, jobId, false).catch((error: unknown) =>
      this.#o.log.warn({ jobId, err: error }, 'not followed up yet'),
    );
  }

  async #see(member: string, askedAt: number): Promise<void> {
    const { redis } = this.#o;
    const slash = member.lastIndexOf('/');
    const verdict = await this.#follow(member.slice(0, slash), member.slice(slash + 1), true);
    const over = verdict === 'nothing' ? Date.now() - askedAt > GIVEN_UP_AFTER_MS : verdict === 'done';
    if (over) await redis.zrem(keys.cancellations(), member);
  }

  /**
   * → `nothing` when its latest run has not ended (yet): the marker comes before the cancellation.
   * @param again tells hosts again that did not react yet
   */
  async #follow(userId: string, jobId: string, again: boolean): Promise<'done' | 'open' | 'nothing'> {
    const { records, queue } = this.#o;
    const latest = await records.jobs.standing(userId, jobId);
    const ended = (await records.jobs.endedRuns(userId, jobId)) ?? [];
    let open = false;
    for (const run of ended.filter(({ end }) => end.state === 'cancelled')) {
      await records.jobs.tellEndAgain(run.ref);
      // One that a worker holds can't be removed: that worker has been told.
      await queue(run.queue)
        .remove(bullJobId(jobId, run.ref.run))
        .catch(() => undefined);
      for (const container of created(run.ref)) {
        open = !(await this.#containerGone(run.ref, container, again)) || open;
      }
    }
    if (open) return 'open';
    return latest && isTerminal(latest.state) ? 'done' : 'nothing';
  }

  async #containerGone(run: JobRef, container: ContainerRef, again: boolean): Promise<boolean> {
    const { records, redis, endUnplaced } = this.#o;
    const record = await records.desktops.get(container);
    if (record?.state !== 'stopping') return true;
    if (!record.host) {
      await endUnplaced(container);
      return true;
    }
    if (again) await redis.publish(CANCELLED_CHANNEL, JSON.stringify(run satisfies Cancelled));
    return false;
  }
}

const created = (run: JobRef): ContainerRef[] => (createsContainers(run.kind) ? containersOf(run) : []);
