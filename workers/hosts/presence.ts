import { Draining } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { jsonText } from '@warmwind/shared/runtime/json';
import type { Redis } from 'ioredis';
import type { Offer } from '../placement/offer.ts';

const DrainingText = jsonText(Draining);

export type PresenceOptions = {
  /** A fail-fast connection to the queue Redis: a single one, so that reads see earlier writes. */
  redis: Redis;
  /** This host. */
  host: string;
  /** Memory of this host for desktops, MB. */
  memoryMb: number;
  /** The resources of this host for desktops, and whether it is drained. */
  offer: Pick<Offer, 'published' | 'draining'>;
  leaseMs: number;
};

/**
 * Detects which hosts live. A missing lease proves that its host is dead only if Redis has lost no data. This
 * host's own last renewal is the evidence: a Redis that was wiped, or that took over from another without its
 * last seconds, does not have it. Such a Redis is not trusted until every living host has had time to renew.
 */
export class Presence {
  readonly #o: PresenceOptions;
  /** The last renewal of this host, and the time from which missing leases count. */
  #written: number | undefined;
  /** The last renewal that Redis has answered: one that failed may not have reached it. */
  #answered: number | undefined;
  #trustedFrom = Number.POSITIVE_INFINITY;

  constructor(options: PresenceOptions) {
    this.#o = options;
  }

  /** Records a renewal of this host's lease. To be called with every renewal. */
  async renewed(): Promise<void> {
    const { redis, host, memoryMb, offer } = this.#o;
    const available = offer.published;
    const now = Date.now();
    const before = this.#written;
    this.#written = now;
    const trip = redis
      .multi()
      .zscore(keys.hosts(), host)
      .zadd(keys.hosts(), now, host)
      .hset(keys.hostMemory(), host, memoryMb)
      .hget(keys.drainingHosts(), host);
    if (available) trip.hset(keys.hostResources(), host, JSON.stringify(available));
    const replies = await trip.exec();
    const found = replies?.[0]?.[1];
    this.#evaluate(before, found);
    if (!replies) return;
    const isKept = this.#answered !== undefined && Number(found) >= this.#answered;
    this.#answered = undefined;
    await this.#readDrain(replies[3]?.[1], isKept);
    this.#answered = now;
  }

  /** Reads whether this host is drained. A Redis that lost data gets what it had. */
  async #readDrain(found: unknown, isKept: boolean): Promise<void> {
    const { redis, host, offer } = this.#o;
    if (typeof found === 'string') {
      offer.draining = DrainingText.safeParse(found).data ?? { since: Date.now() };
    } else if (offer.draining && !isKept) {
      await redis.hset(keys.drainingHosts(), host, JSON.stringify(offer.draining));
    } else {
      offer.draining = undefined;
    }
  }

  /** Returns true when Redis holds this host's last renewal, and has lost no data for long enough. */
  async remembered(): Promise<boolean> {
    const { redis, host } = this.#o;
    const written = this.#written;
    try {
      this.#evaluate(written, await redis.zscore(keys.hosts(), host));
    } catch {
      return false;
    }
    return performance.now() >= this.#trustedFrom;
  }

  /** Returns true when a process may still work on its host's desktops, also when in doubt. */
  async mayLive(host: string, boot: string): Promise<boolean> {
    const { redis } = this.#o;
    const declaredDead = await redis.zscore(keys.deadProcesses(), boot).catch(() => null);
    if (declaredDead !== null) return false;
    const holder = await redis.get(keys.hostLease(host)).catch(() => boot);
    return holder === null ? !(await this.remembered()) : holder === boot;
  }

  #evaluate(written: number | undefined, found: unknown): void {
    const same = written !== undefined && Number(found) === written;
    if (!same) this.#trustedFrom = performance.now() + this.#o.leaseMs;
  }
}
