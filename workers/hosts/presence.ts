import type { HostResources } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import type { Redis } from 'ioredis';

export type PresenceOptions = {
  /** A prompt connection to the queue Redis: one, so that what is asked later sees what was written before. */
  redis: Redis;
  /** This host. */
  host: string;
  /** What it gives to desktops, MB of memory. */
  memoryMb: number;
  /** All that it gives, once that is known. */
  resources: () => HostResources | undefined;
  leaseMs: number;
};

/**
 * Which hosts live. A missing lease says that its host is dead only if Redis has not forgotten it: this host's own last
 * renewal tells. A Redis that was wiped, or that took over from another without its last seconds, does not have it; it is
 * not believed until every host that lives has had the time to renew.
 */
export class Presence {
  readonly #o: PresenceOptions;
  /** What this host wrote last, and from when on missing leases count. */
  #written: number | undefined;
  #believedFrom = Number.POSITIVE_INFINITY;

  constructor(options: PresenceOptions) {
    this.#o = options;
  }

  /** To be called with every renewal of this host's lease. */
  async renewed(): Promise<void> {
    const { redis, host, memoryMb, resources } = this.#o;
    const gives = resources();
    const now = Date.now();
    const before = this.#written;
    this.#written = now;
    const trip = redis
      .multi()
      .zscore(keys.hosts(), host)
      .zadd(keys.hosts(), now, host)
      .hset(keys.hostMemory(), host, memoryMb);
    if (gives) trip.hset(keys.hostResources(), host, JSON.stringify(gives));
    const replies = await trip.exec();
    this.#evaluate(before, replies?.[0]?.[1]);
  }

  /** Does Redis know what this host said, and has it for long enough? */
  async remembered(): Promise<boolean> {
    const { redis, host } = this.#o;
    const written = this.#written;
    try {
      this.#evaluate(written, await redis.zscore(keys.hosts(), host));
    } catch {
      return false;
    }
    return performance.now() >= this.#believedFrom;
  }

  /** May a process still work on its host's desktops? When in doubt it may. */
  async mayLive(host: string, boot: string): Promise<boolean> {
    const holder = await this.#o.redis.get(keys.hostLease(host)).catch(() => boot);
    return holder === null ? !(await this.remembered()) : holder === boot;
  }

  #evaluate(written: number | undefined, found: unknown): void {
    const same = written !== undefined && Number(found) === written;
    if (!same) this.#believedFrom = performance.now() + this.#o.leaseMs;
  }
}
