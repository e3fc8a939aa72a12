import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '@warmwind/shared/errors';
import { compareEventIds, type Envelope } from '@warmwind/shared/events';
import { LIMITS } from '../limits.ts';
import { beginsLate, hasBegun, type OpenRoom } from './access.ts';
import type { Listener } from './listener.ts';
import { envelope, type Page, readLog, START } from './log.ts';
import type { Room, RoomContext } from './room.ts';
import type { Rooms } from './rooms.ts';

/** A job's record changes a moment before its event is appended: an empty log is asked again after this, ms. */
const APPENDING_MS = 250;
/** Reads at the log's end after which the room waits for its joiner, so that a busy room can't outrun it. */
const CHASES = 4;

/**
 * One listener's subscription to one room: it reads the log itself up to the room's cursor, and in the tick in which both
 * are at the same event it joins the live ones. So it is sent every event once and in order.
 */
export class Subscription {
  readonly #listener: Listener;
  readonly #id: OpenRoom;
  readonly #rooms: Rooms;
  readonly #context: RoomContext;
  readonly #room: Room;
  #ended = false;
  /** The listener has been sent, or had before, all up to here. */
  #position = START;
  #page: Page = { from: START, entries: [], more: false, truncated: false };
  #snapshots: Envelope[] = [];

  constructor(listener: Listener, id: OpenRoom, rooms: Rooms, context: RoomContext) {
    this.#listener = listener;
    this.#id = id;
    this.#rooms = rooms;
    this.#context = context;
    this.#room = rooms.acquire(id);
  }

  /** Follows the room and looks at its log after `after`. → was something in between trimmed or lost? */
  async open(after = START): Promise<boolean> {
    this.#position = after;
    const late = sleep(LIMITS.subscribeMs, undefined, { ref: false }).then(unavailable);
    await Promise.race([this.#room.opened, late]).catch(unavailable);
    await this.#read().catch(unavailable);
    return this.#page.truncated;
  }

  /** Did `open` find nothing after the listener's position, and nothing lost? */
  isCaughtUp(): boolean {
    return this.#page.entries.length === 0 && !this.#page.truncated;
  }

  /** Sends what `open` found and all that follows, then goes live. Rejects when Redis goes away before that. */
  async run(): Promise<void> {
    for (let chases = 0; ; ) {
      if (this.#send()) return;
      // Either the listener comes from a node that was ahead of this one, or the log ends before the room's cursor.
      if (this.#page.entries.length === 0 || compareEventIds(this.#position, this.#room.cursor) > 0) {
        await this.#room.catchUp('join');
        if (this.#join()) return;
      }
      await this.#drained();
      if (!this.#page.more) chases += 1;
      if (chases > CHASES && (await this.#room.hold(() => this.#read().then(() => this.#send())))) return;
      await this.#read();
    }
  }

  /** Once live: resolves when all that the log holds now has been sent. */
  caughtUp(): Promise<void> {
    return this.#room.catchUp('join');
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener.leave(this.#room);
    this.#rooms.release(this.#room);
  }

  async #read(): Promise<void> {
    const { realtime, snapshots, metrics } = this.#context;
    let page = await readLog(realtime, this.#id, this.#position);
    metrics.replayPages.inc();
    this.#snapshots = [];
    if (this.#position === START && !page.truncated) {
      const begunUnseen = page.entries.length === 0 && (await this.#begun());
      if (begunUnseen) {
        await sleep(APPENDING_MS);
        page = await readLog(realtime, this.#id, START);
      }
      const [first] = page.entries;
      page.truncated ||= first ? beginsLate(this.#id, Number(first.id.split('-')[0])) : begunUnseen;
    }
    if (page.truncated) this.#snapshots = await snapshots(this.#id, page.from);
    this.#page = page;
  }

  /** Has something happened that an empty log does not tell? */
  async #begun(): Promise<boolean> {
    const known = await this.#context.snapshots(this.#id, START);
    return known.some(hasBegun) || (known.length > 0 && beginsLate(this.#id, Date.now()));
  }

  /** Sends the page as far as the room itself has come. → nothing is left to do. */
  #send(): boolean {
    if (this.#ended) return true;
    const { entries, truncated, from } = this.#page;
    if (truncated) {
      this.#position = from;
      for (const snapshot of this.#snapshots) this.#listener.send(snapshot);
      this.#context.metrics.snapshots.inc(this.#snapshots.length);
    }
    let sent = 0;
    for (const { id, event } of entries) {
      if (compareEventIds(id, this.#room.cursor) > 0) break;
      this.#listener.send(envelope(this.#id, id, event));
      this.#position = id;
      sent += 1;
    }
    this.#context.metrics.delivered.inc({ way: 'replay' }, sent);
    return this.#join();
  }

  #join(): boolean {
    if (this.#ended) return true;
    if (this.#position !== this.#room.cursor) return false;
    this.#listener.join(this.#room);
    return true;
  }

  /** Waits while the listener does not take what it was sent; rejects when it never does. */
  async #drained(): Promise<void> {
    for (let waited = 0; !this.#ended; waited += 20) {
      if (this.#listener.backlog() < LIMITS.replayBacklog) return;
      if (waited > LIMITS.slowMs) {
        this.#context.metrics.slow.inc();
        throw new Error('what is sent is not read');
      }
      await sleep(20);
    }
  }
}

const unavailable = (): never => {
  throw new ApiError('unavailable', 'The room cannot be opened now: subscribe again in a moment.');
};
