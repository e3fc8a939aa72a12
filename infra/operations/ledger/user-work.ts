import { setTimeout as sleep } from 'node:timers/promises';
import { containerStop } from '@warmwind/shared/contract/commands/container-stop';
import { hasEnded } from '@warmwind/shared/contract/containers';
import { newId } from '@warmwind/shared/contract/ids';
import { isTerminal, type Job, jobFromRecord } from '@warmwind/shared/contract/jobs';
import { planOf } from '@warmwind/shared/contract/plan';
import { jobCommand } from '@warmwind/shared/contract/registry';
import { keys, recordPrefixes } from '@warmwind/shared/engine/keys';
import type { ContainerRecord, JobRef, Records } from '@warmwind/shared/engine/node/records';
import { hostQueues, JOB_DATA_VERSION, QUEUES } from '@warmwind/shared/engine/queues';
import {
  ENDED_RECORD_TTL_MS,
  OPEN_RECORD_TTL_MS,
  RESERVATION_MS,
  type SubmitRequest,
} from '@warmwind/shared/engine/records';
import { submitJob } from '@warmwind/shared/engine/scripts/submit.lua';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { Job as BullJob, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { enqueue } from '../../../workers/runtime/enqueue.ts';
import type { UserRows } from './user-rows.ts';

const LOOK_AGAIN_MS = 500;
/** Records read, and queue entries listed, at a time. */
const AT_ONCE = 200;

/** Work that has not ended. */
export type Open = { desktops: ContainerRecord[]; jobs: Job[] };

export type UserWorkOptions = {
  user: string;
  redis: Redis;
  records: Records;
  rows: UserRows;
  queue: (name: string) => Queue;
};

/** A user's open desktops and jobs, and their queue entries. */
export class UserWork {
  readonly #o: UserWorkOptions;

  constructor(options: UserWorkOptions) {
    this.#o = options;
  }

  /** Lists the work that is open in Redis or the ledger. */
  async open(): Promise<Open> {
    const { redis, records, rows, user: userId } = this.#o;
    const [known, jobIds, containerIds] = await Promise.all([
      rows.open(),
      redis.zrange(keys.jobs(userId), '0', '-1'),
      redis.zrange(keys.containers(userId), '0', '-1'),
    ]);
    const desktops = await each([...new Set([...known.containers, ...containerIds])], (containerId) =>
      records.containers.get({ userId, containerId }),
    );
    const jobs = await each([...new Set([...known.jobs, ...jobIds])], async (jobId) => {
      // Restores a record that only the ledger has.
      if (!(await records.jobs.status(userId, jobId))) return undefined;
      return jobFromRecord(await redis.hgetall(keys.job(userId, jobId)));
    });
    return {
      desktops: desktops.filter(({ state }) => !hasEnded(state)),
      jobs: jobs.filter(({ state }) => !isTerminal(state)),
    };
  }

  /**
   * Stops and cancels until nothing is open, or `withinMs` have passed.
   * @returns the work that is still open
   */
  async end(withinMs: number): Promise<Open> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const open = await this.open();
      if ((open.desktops.length === 0 && open.jobs.length === 0) || Date.now() > deadline) return open;
      for (const desktop of open.desktops) await this.#stop(desktop);
      for (const job of open.jobs) await this.#cancel(job, open.desktops);
      await sleep(LOOK_AGAIN_MS);
    }
  }

  /** Entries of the user in all queues, in any state. */
  async entries(): Promise<BullJob[]> {
    const { redis, queue, user } = this.#o;
    const hosts = await redis.zrange(keys.hosts(), '0', '-1');
    const found: BullJob[] = [];
    for (const name of [...QUEUES, ...hosts.flatMap(hostQueues)]) {
      for (let from = 0; ; from += AT_ONCE) {
        const jobs = await queue(name).getJobs(undefined, from, from + AT_ONCE - 1);
        found.push(...jobs.filter((job) => (job?.data as { userId?: unknown } | undefined)?.userId === user));
        if (jobs.length === 0) break;
      }
    }
    return found;
  }

  /** Removes the user from the queues and from the fleet's own keys. */
  async remove(): Promise<void> {
    const { redis, user } = this.#o;
    // An entry that a worker holds stays, and is found by the next scan.
    for (const job of await this.entries()) await job.remove().catch(() => undefined);
    for (const host of await redis.zrange(keys.hosts(), '0', '-1')) {
      const members = await redis.smembers(keys.hostContainers(host));
      const own = members.filter((member) => member.startsWith(`${user}/`));
      if (own.length > 0) await redis.srem(keys.hostContainers(host), ...own);
    }
    const cancelled = await redis.zrange(keys.cancellations(), '0', '-1');
    const ownCancelled = cancelled.filter((member) => member.startsWith(`${user}/`));
    if (ownCancelled.length > 0) await redis.zrem(keys.cancellations(), ...ownCancelled);
    await redis.zrem(keys.changedUsers(), user);
  }

  /** Ends a desktop without a host; a host ends its own. */
  async #stop(desktop: ContainerRecord): Promise<void> {
    const { records } = this.#o;
    const { fence, host } = desktop;
    if (host) await this.#submitStop(desktop);
    else await records.containers.change(desktop, { to: 'stopped', fence, from: ['requested', 'stopping'] });
  }

  async #submitStop({ userId, containerId }: ContainerRecord): Promise<void> {
    const { redis, queue } = this.#o;
    const requestId = 'forget';
    const request: SubmitRequest = {
      nonce: newId(),
      scopes: [],
      userId,
      prefixes: recordPrefixes(userId),
      quotas: { jobs: 1, desktops: 1 },
      plan: planOf(containerStop, 'control'),
      job: { id: newId(), kind: containerStop.kind, requestId },
      containerId,
      openTtlMs: OPEN_RECORD_TTL_MS,
      unconfirmedTtlMs: { record: OPEN_RECORD_TTL_MS, key: ENDED_RECORD_TTL_MS },
      reservationMs: RESERVATION_MS,
    };
    const of = { userId, scopes: [], jobId: request.job.id };
    const [, verdict] = await runScript(redis, submitJob, of, {
      request: JSON.stringify(request),
      input: '',
    });
    if (verdict.verdict !== 'accepted' && verdict.verdict !== 'replayed') return;
    if (verdict.state !== 'queued') return;
    const { jobId, run } = verdict;
    const { kind } = containerStop;
    const data = { version: JOB_DATA_VERSION, kind, userId, jobId, run, containerId, requestId } as const;
    await enqueue(queue(verdict.queue), data, verdict.priority);
  }

  /** Has the job nothing left to do, because its desktop has ended? */
  async #cancel({ id: jobId, run, kind, containerId = '' }: Job, open: ContainerRecord[]): Promise<void> {
    if (open.some((desktop) => desktop.containerId === containerId)) return;
    const ref: JobRef = { userId: this.#o.user, jobId, run, kind, containerId };
    const stopped = { state: 'completed', result: { containerId } } as const;
    await this.#o.records.jobs.end(
      ref,
      jobCommand(kind).onHostLost === 'completes' ? stopped : { state: 'cancelled' },
    );
  }
}

/** The results of `work` that there are, a few items at a time. */
async function each<T, R>(items: T[], work: (item: T) => Promise<R | undefined>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += AT_ONCE) {
    const some = await Promise.all(items.slice(from, from + AT_ONCE).map(work));
    results.push(...some.filter((result) => result !== undefined));
  }
  return results;
}
