import { setTimeout as sleep } from 'node:timers/promises';
import { ROOM_CHANNEL } from '@warmwind/shared/engine/keys';
import type { Waiter, WaitingStarts } from '@warmwind/shared/engine/node/waiting-starts';
import { queueJobId } from '@warmwind/shared/engine/queues';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { DesktopHost } from '../containers/host.ts';
import { loop } from '../loop.ts';
import type { Metrics } from '../metrics.ts';
import { promote } from '../runtime/enqueue.ts';
import type { Stores } from '../stores.ts';
import { REASONS } from './room.ts';
import type { Turn } from './turns.ts';

/** How often a host looks for room although nothing was published, ms. */
const LOOK_EVERY_MS = 2000;
/** The pause between two looks, ms. It bounds what many changes at once cost. */
const PAUSE_MS = 25;
/** The pause between two promotions of one start, ms: another host without room may have taken it. */
const AGAIN_MS = 100;
/** How many starts one look promotes. */
const MAX_AT_ONCE = 16;

type PromoterOptions = {
  /** A queueing connection to the queue Redis, which is duplicated. */
  redis: Redis;
  waiting: WaitingStarts;
  /** The queue in which starts wait. */
  queue: Queue;
  /** Whether this process may place containers now. */
  isTaking: () => boolean;
  /** Decides which of these starts have room on this host now. */
  turns: (starts: Waiter[]) => Promise<Turn<Waiter>[]>;
  metrics: Pick<Metrics, 'waitingStarts'>;
  log: Logger;
};

/**
 * Ends the delay of waiting starts as soon as this host has room for them. Every host looks for itself when
 * one of the fleet publishes a change; BullMQ may deliver the start to another host, which requeues it.
 */
export class Promoter {
  readonly #o: PromoterOptions;
  readonly #subscriber: Redis;
  readonly #stop = new AbortController();
  readonly #promoted = new Map<string, number>();
  #changed = new AbortController();
  #looking: Promise<void> | undefined;

  constructor(options: PromoterOptions) {
    this.#o = options;
    this.#subscriber = options.redis.duplicate();
    // The original connection reports an unavailable Redis.
    this.#subscriber.on('error', () => undefined);
    this.#subscriber.on('message', () => this.#changed.abort());
  }

  start(): void {
    this.#subscriber.subscribe(ROOM_CHANNEL).catch(() => undefined);
    this.#looking ??= loop('waiting starts', this.#o.log, this.#stop.signal, async () => {
      this.#changed = new AbortController();
      const againMs = await this.#look();
      const signal = AbortSignal.any([this.#stop.signal, this.#changed.signal]);
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
      return PAUSE_MS;
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#looking, disconnect(this.#subscriber)]);
  }

  /** @returns ms until the next look */
  async #look(): Promise<number> {
    const { waiting, isTaking, turns, metrics } = this.#o;
    const starts = await waiting.list();
    metrics.waitingStarts.reset();
    for (const { reason } of starts) metrics.waitingStarts.inc({ reason });
    this.#forgetAllBut(starts);
    if (starts.length === 0 || !isTaking()) return LOOK_EVERY_MS;
    let againMs = LOOK_EVERY_MS;
    let left = MAX_AT_ONCE;
    for (const { start, lacks, holds } of await turns(starts)) {
      if (holds && start.holdsSince === undefined) await waiting.change(start, { holdsSince: Date.now() });
      if (lacks) await this.#correct(start, lacks);
      else if (left > 0 && !(await this.#promote(start))) againMs = AGAIN_MS;
      else left -= 1;
    }
    return againMs;
  }

  /** Records what a start lacks on a host that could hold it, where it waited for another reason. */
  async #correct(start: Waiter, lacks: NonNullable<Turn<Waiter>['lacks']>): Promise<void> {
    if (start.reason !== 'draining' && start.reason !== 'image') return;
    await this.#o.waiting.change(start, { reason: REASONS[lacks] });
  }

  /** @returns false when it was promoted just now */
  async #promote({ member, jobId, run }: Waiter): Promise<boolean> {
    const last = this.#promoted.get(member);
    if (last !== undefined && Date.now() - last < AGAIN_MS) return false;
    this.#promoted.set(member, Date.now());
    await promote(this.#o.queue, queueJobId(jobId, run));
    return true;
  }

  #forgetAllBut(starts: Waiter[]): void {
    const known = new Set(starts.map(({ member }) => member));
    for (const member of this.#promoted.keys()) if (!known.has(member)) this.#promoted.delete(member);
  }
}

/** @param options.isTaking whether this process holds the lease of its host */
export const createPromoter = ({
  stores: { queueRedis: redis, waiting, queue },
  host: { admission, metrics, log },
  isTaking,
}: {
  stores: Stores;
  host: DesktopHost;
  isTaking: () => boolean;
}): Promoter =>
  new Promoter({
    redis,
    waiting,
    queue: queue('containers'),
    isTaking,
    turns: (starts) => admission.turns(starts),
    metrics,
    log,
  });
