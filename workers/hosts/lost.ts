import { hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { findJobCommand } from '@warmwind/shared/contract/registry';
import { keys } from '@warmwind/shared/engine/keys';
import type { ContainerRef, Records } from '@warmwind/shared/engine/node/records';
import type { Reservations } from '@warmwind/shared/engine/node/reservations';
import { hostQueues, type JobData, queueJobId } from '@warmwind/shared/engine/queues';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { forward } from '../containers/stop.ts';
import { each } from '../each.ts';
import { readAnyJobData } from '../runtime/data.ts';
import { failure } from '../runtime/failures.ts';
import type { Skip } from '../skip.ts';
import type { Presence } from './presence.ts';

/** Most waiting commands of a lost host that one check ends. */
const MAX_COMMANDS = 1000;

export type LostHostsOptions = {
  /** The queue Redis. */
  redis: Redis;
  records: Records;
  reservations: Reservations;
  presence: Presence;
  queue: (name: string) => Queue;
  lostAfterMs: number;
  /** Reports a desktop or command that cannot be read: it stays as it is, and the others are processed. */
  skip: Skip;
  log: Logger;
};

/** Gives up hosts silent for `lostAfterMs`: their desktops become `lost`, and their commands end. */
export class LostHosts {
  readonly #o: LostHostsOptions;

  constructor(options: LostHostsOptions) {
    this.#o = options;
  }

  /** Checks every host once. */
  async check(): Promise<void> {
    const { redis, presence, lostAfterMs, log } = this.#o;
    if (!(await presence.remembered())) return;
    const silent = await redis.zrangebyscore(keys.hosts(), '-inf', Date.now() - lostAfterMs);
    for (const host of silent) {
      if (await redis.exists(keys.hostLease(host))) continue;
      log.warn({ lostHost: host }, 'host lost');
      const left = await this.#desktops(host);
      await this.#commands(host);
      // The host is kept, and checked again, until nothing of it is left.
      if (left === 0 && !(await redis.exists(keys.hostLease(host)))) {
        await this.#o.reservations.forgetHost(host);
        await redis.multi().zrem(keys.hosts(), host).hdel(keys.hostMemory(), host).exec();
      }
    }
  }

  /**
   * Ends the desktops of a host.
   * @returns how many are left: unreadable, or waiting for a peer to start them
   */
  async #desktops(host: string): Promise<number> {
    const { records, skip } = this.#o;
    let left = 0;
    const end = async (ref: ContainerRef) => {
      const record = await records.containers.get(ref);
      if (record && record.host === host && !hasEnded(record.state)) {
        const start = await records.jobs.status(ref.userId, record.jobId);
        const starting = start && !isTerminal(start.state) && start.containerId === ref.containerId;
        if (record.state === 'starting' && starting) {
          left += 1;
          return;
        }
        await records.containers.change(record, { to: 'lost', fence: record.fence });
      }
      await records.containers.forget(host, ref);
    };
    await each(await records.containers.ofHost(host), 1, end, (error, ref) => {
      left += 1;
      skip(error, ref);
    });
    return left;
  }

  async #commands(host: string): Promise<void> {
    for (const name of hostQueues(host)) {
      const own = this.#o.queue(name);
      const jobs = await own.getJobs(['waiting', 'prioritized', 'delayed', 'active'], 0, MAX_COMMANDS);
      const commands = jobs.flatMap((job) => readAnyJobData(job?.data) ?? []);
      await each(commands, 1, (data) => this.#command(own, host, data), this.#o.skip);
    }
  }

  /** Moves a command to its container's present host, or ends it as its kind defines; unknown kinds fail. */
  async #command(own: Queue, host: string, data: JobData): Promise<void> {
    const { records } = this.#o;
    const record = await records.containers.get(data);
    const lost = !record || hasEnded(record.state);
    if (record && record.host !== host && !lost) {
      await forward(this.#o, data, record.host);
    } else if (lost) {
      const completes = findJobCommand(data.kind)?.onHostLost === 'completes';
      const result = { containerId: data.containerId };
      await records.jobs.end(
        data,
        completes ? { state: 'completed', result } : { state: 'failed', error: failure('host_lost') },
      );
    } else {
      return;
    }
    await own.remove(queueJobId(data.jobId, data.run)).catch(() => undefined);
  }
}
