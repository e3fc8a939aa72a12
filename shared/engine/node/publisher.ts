import { type Redis, ReplyError } from 'ioredis';
import type { Logger } from '../../runtime/node/log.ts';
import { withTimeout } from '../../runtime/timeout.ts';
import { type Append, appendEvents, type Subject, streamEnds } from './event-log.ts';

/** How long a caller waits for the realtime Redis before it continues without it, ms. */
const WAIT_MS = 3000;
/**
 * The most events that are kept while Redis is unavailable; they are sent again, in order, when it recovers.
 */
const MAX_KEPT = 10_000;
const MAX_KEPT_BYTES = 32 * 1024 * 1024;
const RETRY_MS = 500;
/** How many kept batches are in flight at once. */
const AT_ONCE = 64;
/** Error replies that are transient; every other one refuses the events themselves. */
const PASSING =
  /^(LOADING|OOM|READONLY|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|UNBLOCKED|NOAUTH)\b/;

type Batch = { subject: Subject; events: Append[]; fence?: number };
type Kept = { batch: Batch; bytes: number };
/** How many events were new to the log; or they were refused, or Redis did not answer. */
type Sent = number | 'refused' | 'unanswered';

/**
 * Appends events such that a failure of the realtime Redis neither fails nor blocks for long the work that
 * they report. While it is unavailable they are kept, within a bound, and sent when it recovers: an event is
 * appended once however often it is sent.
 */
export class Publisher {
  readonly #redis: Redis;
  readonly #log: Logger;
  readonly #onDropped: (events: number) => void;
  readonly #waitMs: number;
  readonly #kept: Kept[] = [];
  #keptBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #readyAt = 0;

  /** @param redis a queueing connection */
  constructor(redis: Redis, log: Logger, onDropped: (events: number) => void = () => {}, waitMs = WAIT_MS) {
    this.#redis = redis;
    this.#log = log;
    this.#onDropped = onDropped;
    this.#waitMs = waitMs;
    redis.on('ready', () => {
      this.#readyAt = Date.now();
    });
  }

  /**
   * Appends now, or keeps the events and sends them later. Never rejects.
   * @returns whether the log has the events; `false` when they were kept, or dropped
   */
  async publish(subject: Subject, events: Append[], fence?: number): Promise<boolean> {
    const batch: Batch = { subject, events, ...(fence === undefined ? {} : { fence }) };
    const sent = this.#kept.length === 0 ? await this.#send(batch) : 'unanswered';
    if (sent === 'unanswered') this.#keep(batch);
    return typeof sent === 'number';
  }

  /**
   * Appends now or not at all, and not before other processes have had time to send the events that they
   * kept. Never rejects.
   * @returns whether the log has the events
   */
  async append(subject: Subject, events: Append[]): Promise<boolean> {
    if (this.#redis.status !== 'ready' || Date.now() - this.#readyAt < this.#waitMs) return false;
    return typeof (await this.#send({ subject, events })) === 'number';
  }

  /**
   * Appends now, after all events that are kept, or not at all: the caller sends them again. Never rejects.
   * @returns how many were new; 0 also for those of a stale producer, and while Redis does not answer
   */
  async tryPublish(subject: Subject, events: Append[], fence: number): Promise<number> {
    if (this.#kept.length > 0) return 0;
    const sent = await this.#send({ subject, events, fence });
    return typeof sent === 'number' ? sent : 0;
  }

  /**
   * The offsets up to which a room's log has the bytes of streams. Never rejects.
   * @returns `undefined` while Redis does not answer
   */
  async streamEnds(subject: Subject, streams: string[]): Promise<number[] | undefined> {
    const ends = streamEnds(this.#redis, subject, streams).catch(() => undefined);
    return withTimeout(ends, this.#waitMs, () => undefined);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { batch } of this.#kept.splice(0)) this.#onDropped(batch.events.length);
  }

  async #send({ subject, events, fence }: Batch): Promise<Sent> {
    const sent = appendEvents(this.#redis, subject, events, fence).then(
      (count): Sent => count,
      (error: unknown): Sent => {
        if (isPassing(error)) return 'unanswered';
        this.#log.warn({ err: error, room: subject.room, events: events.length }, 'events dropped');
        this.#onDropped(events.length);
        return 'refused';
      },
    );
    return withTimeout(sent, this.#waitMs, (): Sent => 'unanswered');
  }

  #keep(batch: Batch): void {
    const bytes = sizeOf(batch);
    if (this.#closed || this.#kept.length >= MAX_KEPT || this.#keptBytes + bytes > MAX_KEPT_BYTES) {
      this.#onDropped(batch.events.length);
      return;
    }
    this.#kept.push({ batch, bytes });
    this.#keptBytes += bytes;
    this.#scheduleRetry();
  }

  #scheduleRetry(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#retry(), RETRY_MS);
    this.#timer.unref();
  }

  /**
   * Sends kept batches in order, over one connection: the first alone, so that Redis knows the script before
   * the others.
   */
  async #retry(): Promise<void> {
    let width = 1;
    while (!this.#closed && this.#redis.status === 'ready' && this.#kept.length > 0) {
      const first = this.#kept.slice(0, width);
      const outcomes = await Promise.all(first.map(({ batch }) => this.#send(batch)));
      const failed = outcomes.indexOf('unanswered');
      const done = this.#kept.splice(0, failed === -1 ? first.length : failed);
      for (const { bytes } of done) this.#keptBytes -= bytes;
      if (failed !== -1) break;
      width = AT_ONCE;
    }
    if (!this.#closed && this.#kept.length > 0) this.#scheduleRetry();
  }
}

/** Is the failure transient? A lost connection is; an event that can't be written as JSON is not. */
const isPassing = (error: unknown): boolean =>
  error instanceof ReplyError ? PASSING.test((error as Error).message) : !(error instanceof TypeError);

/** About as many bytes as a batch holds in memory. */
const sizeOf = ({ events }: Batch): number =>
  events.reduce((sum, { event }) => sum + JSON.stringify(event).length * 2, 0);
