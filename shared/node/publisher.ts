import type { Redis } from 'ioredis';
import { type Append, appendEvents, type Subject } from './events.ts';
import type { Logger } from './log.ts';

/** How long a caller waits for the realtime Redis before it goes on without it, ms. */
const WAIT_MS = 3000;
/** What could not be appended is kept and sent again, in order, when Redis is back; at most this many appends. */
const MAX_LATE = 1000;
const RETRY_MS = 500;

type Batch = { subject: Subject; events: Append[]; fence?: number };

/**
 * Appends events without letting the realtime Redis fail, or hold up for long, the work that they tell of. While it is
 * away they are kept, within a bound, and sent when it is back: an event is appended once however often it is sent.
 */
export class Publisher {
  readonly #redis: Redis;
  readonly #log: Logger;
  readonly #onDropped: (events: number) => void;
  readonly #waitMs: number;
  readonly #late: Batch[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param redis a patient connection */
  constructor(redis: Redis, log: Logger, onDropped: (events: number) => void = () => {}, waitMs = WAIT_MS) {
    this.#redis = redis;
    this.#log = log;
    this.#onDropped = onDropped;
    this.#waitMs = waitMs;
  }

  /** Never rejects; resolves when the events are in the log, kept for later, or given up. */
  async publish(subject: Subject, events: Append[], fence?: number): Promise<void> {
    const batch: Batch = { subject, events, ...(fence === undefined ? {} : { fence }) };
    const sent = this.#late.length === 0 && (await this.#send(batch));
    if (!sent) this.#keep(batch);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { events } of this.#late.splice(0)) this.#onDropped(events.length);
  }

  /** → false when Redis gave no answer in time. An answer that is an error drops the events: asking again is no use. */
  async #send({ subject, events, fence }: Batch): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), this.#waitMs);
    });
    const sent = appendEvents(this.#redis, subject, events, fence).then(
      () => true,
      (error: unknown) => {
        this.#log.warn({ err: error, events: events.length }, 'events dropped');
        this.#onDropped(events.length);
        return true;
      },
    );
    const answered = await Promise.race([sent, late]);
    clearTimeout(timer);
    return answered;
  }

  #keep(batch: Batch): void {
    if (this.#closed || this.#late.length >= MAX_LATE) {
      this.#onDropped(batch.events.length);
      return;
    }
    this.#late.push(batch);
    this.#retryLater();
  }

  #retryLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#retry(), RETRY_MS);
    this.#timer.unref();
  }

  async #retry(): Promise<void> {
    while (!this.#closed && this.#redis.status === 'ready') {
      const first = this.#late[0];
      if (!first) return;
      if (!(await this.#send(first))) break;
      this.#late.shift();
    }
    if (!this.#closed) this.#retryLater();
  }
}
