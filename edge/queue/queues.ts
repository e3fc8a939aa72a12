import { keys } from '@warmwind/shared/engine/keys';
import type { JobData } from '@warmwind/shared/engine/queues';
import { Queue } from 'bullmq';
import { createRestClient } from './client.ts';
import type { Command, RestOptions } from './transport.ts';

/** How long what was heard of a queue's depth is believed, ms. */
const BELIEVED_MS = 1000;

/**
 * BullMQ's own queues by name, made when first needed (which must be inside a request) and kept; and how deep each was
 * when it was last asked anything. Every `add` brings its queue's depth in its own trip.
 */
export class Queues {
  readonly #options: RestOptions;
  readonly #maxWaiting: number;
  readonly #queues = new Map<string, Queue<JobData>>();
  readonly #lengths = new Map<string, { waiting: number; at: number }>();

  /** @param maxWaiting jobs that wait in a queue from which on it is full */
  constructor(options: RestOptions, maxWaiting: number) {
    this.#options = options;
    this.#maxWaiting = maxWaiting;
  }

  get(name: string): Queue<JobData> {
    const known = this.#queues.get(name);
    if (known) return known;
    const onLengths = (lengths: unknown[]) => {
      const waiting = lengths.reduce<number>((sum, length) => sum + Number(length ?? 0), 0);
      this.#lengths.set(name, { waiting, at: Date.now() });
    };
    const created = new Queue<JobData>(name, {
      connection: createRestClient(this.#options, { commands: lengthsOf(name), onResults: onLengths }),
      prefix: keys.bullmqPrefix(name),
      // Workers write the queue's meta; here it would be a second trip.
      skipMetasUpdate: true,
    });
    this.#queues.set(name, created);
    return created;
  }

  /**
   * Was the queue full when it was last heard of? Once that is too old it is asked again, so an overload alone costs
   * trips. What is in flight is not counted, and who has not heard of the queue yet takes it to have room.
   */
  async isFull(name: string): Promise<boolean> {
    if (!this.#wasFull(name)) return false;
    const { at = 0 } = this.#lengths.get(name) ?? {};
    if (Date.now() - at >= BELIEVED_MS) await this.get(name).getJobCounts();
    return this.#wasFull(name);
  }

  #wasFull(name: string): boolean {
    return (this.#lengths.get(name)?.waiting ?? 0) >= this.#maxWaiting;
  }
}

/** What asks for the number of waiting, paused, prioritized and delayed jobs. */
function lengthsOf(name: string): Command[] {
  const key = (list: string) => `${keys.bullmqPrefix(name)}:${name}:${list}`;
  return [
    ['LLEN', key('wait')],
    ['LLEN', key('paused')],
    ['ZCARD', key('prioritized')],
    ['ZCARD', key('delayed')],
  ];
}
