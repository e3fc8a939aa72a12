import { keys } from '@warmwind/shared/engine/keys';
import type { JobData } from '@warmwind/shared/engine/queues';
import type { WebhookData } from '@warmwind/shared/engine/webhooks';
import { Queue } from 'bullmq';
import { createRestClient } from './client.ts';
import type { Command, RestOptions } from './transport.ts';

/** The data of the jobs in queues: runs, and webhooks. */
type Data = JobData | WebhookData;

/** How long the known depth of a full queue is valid, ms. */
const DEPTH_VALID_MS = 1000;

/**
 * BullMQ's own queues by name, created on first use (which must be inside a request) and kept, with the last
 * known depth of each. Every `add` reads its queue's depth in its own trip.
 */
export class Queues {
  readonly #options: RestOptions;
  readonly #maxWaiting: number;
  readonly #queues = new Map<string, Queue<Data>>();
  readonly #depths = new Map<string, { waiting: number; at: number }>();

  /** @param maxWaiting the number of waiting jobs from which on a queue is full */
  constructor(options: RestOptions, maxWaiting: number) {
    this.#options = options;
    this.#maxWaiting = maxWaiting;
  }

  get(name: string): Queue<Data> {
    const known = this.#queues.get(name);
    if (known) return known;
    const onLengths = (lengths: unknown[]) => {
      const waiting = lengths.reduce<number>((sum, length) => sum + Number(length ?? 0), 0);
      this.#depths.set(name, { waiting, at: Date.now() });
    };
    const created = new Queue<Data>(name, {
      connection: createRestClient(this.#options, { commands: lengthsOf(name), onResults: onLengths }),
      prefix: keys.bullmqPrefix(name),
      // Workers write the queue's meta; here it would be a second trip.
      skipMetasUpdate: true,
    });
    this.#queues.set(name, created);
    return created;
  }

  /**
   * Whether the queue was full at the last reading. An expired reading of a full queue is refreshed, so only
   * an overload costs trips. Jobs in flight are not counted, and a queue without a reading is taken to have
   * room.
   */
  async isFull(name: string): Promise<boolean> {
    if (!this.#wasFull(name)) return false;
    const { at = 0 } = this.#depths.get(name) ?? {};
    if (Date.now() - at >= DEPTH_VALID_MS) await this.get(name).getJobCounts();
    return this.#wasFull(name);
  }

  #wasFull(name: string): boolean {
    return (this.#depths.get(name)?.waiting ?? 0) >= this.#maxWaiting;
  }
}

/** The commands that read the numbers of waiting, paused, prioritized and delayed jobs. */
function lengthsOf(name: string): Command[] {
  const key = (list: string) => `${keys.bullmqPrefix(name)}:${name}:${list}`;
  return [
    ['LLEN', key('wait')],
    ['LLEN', key('paused')],
    ['ZCARD', key('prioritized')],
    ['ZCARD', key('delayed')],
  ];
}
