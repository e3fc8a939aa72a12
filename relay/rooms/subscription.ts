import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '@warmwind/shared/contract/errors';
import { type AnyEnvelope, compareEventIds, type Snapshot } from '@warmwind/shared/contract/rooms';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import { LIMITS } from '../limits.ts';
import { Prebuilt } from '../sockets/prebuilt.ts';
import { hasBegun, hasLostStart, type OpenRoom } from './access.ts';
import type { Listener } from './listener.ts';
import { envelope, type Page, readLog, START } from './log.ts';
import type { Room, RoomContext } from './room.ts';
import type { Rooms } from './rooms.ts';

/**
 * A job's record changes a moment before its event is appended: an empty log is read again after this, ms.
 */
const APPENDING_MS = 250;
/**
 * Reads at the log's end after which the room waits for the new listener, so that a busy room cannot outrun
 * it.
 */
const MAX_CHASES = 4;
const EMPTY_PAGE: Page = { from: START, entries: [], more: true, truncated: false };

/** Outcome of a page: the listener went live, takes no more for now, or was sent the page. */
type Sent = 'live' | 'paused' | 'sent';

/**
 * One listener's subscription to one room. It reads the log up to the room's cursor, and joins the live
 * listeners in the tick in which both are at the same event. A listener that does not keep up leaves them and
 * reads the log again from its position. So it receives every event once and in order, with few unsent bytes.
 */
export class Subscription {
  readonly #listener: Listener;
  readonly #id: OpenRoom;
  readonly #rooms: Rooms;
  readonly #context: RoomContext;
  readonly #room: Room;
  readonly #onInterrupted: (error: unknown) => void;
  #ended = false;
  /** The id of the last event that the listener has received. */
  #position = START;
  #page = EMPTY_PAGE;
  #snapshots: Snapshot[] = [];
  #replaying: Promise<void> | undefined;

  /**
   * @param onInterrupted is called when a replay fails: the listener must reconnect and resume after its last
   * event
   */
  constructor(
    listener: Listener,
    id: OpenRoom,
    rooms: Rooms,
    context: RoomContext,
    onInterrupted: (error: unknown) => void,
  ) {
    this.#listener = listener;
    this.#id = id;
    this.#rooms = rooms;
    this.#context = context;
    this.#onInterrupted = onInterrupted;
    this.#room = rooms.acquire(id);
  }

  /**
   * Follows the room and reads its log after `after`.
   * @returns whether events after `after` were trimmed or lost
   */
  async open(after = START): Promise<boolean> {
    this.#position = after;
    await withTimeout(this.#room.opened, LIMITS.subscribeMs).catch(unavailable);
    await this.#reading(() => this.#read()).catch(unavailable);
    return this.#page.truncated;
  }

  /**
   * Sends the page of `open` and all that follows, then goes live. Resolves when it is live, has ended or has
   * failed.
   */
  run(): Promise<void> {
    if (this.#send() === 'live') return Promise.resolve();
    // The listener may not take more for a long time: the page is read again then.
    this.#page = EMPTY_PAGE;
    return this.#replay();
  }

  /** Whether `open` found no event that the listener has not received. */
  isCaughtUp(): boolean {
    return !this.#page.truncated && this.#page.entries.length === 0;
  }

  /** Once live: resolves when all present events of the log have been sent. */
  async caughtUp(): Promise<void> {
    await this.#room.catchUp('join');
    while (this.#replaying) await this.#replaying;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#page = EMPTY_PAGE;
    this.#room.listeners.delete(this.#deliver);
    this.#rooms.release(this.#room);
  }

  /**
   * Delivers an event of the room, while live.
   * @returns whether it was sent; if not, it is read from the log later
   */
  readonly #deliver = (event: AnyEnvelope, prebuilt: Prebuilt): boolean => {
    if (this.#listener.outlet.ready) {
      this.#position = event.id;
      this.#listener.send(event, prebuilt);
      return true;
    }
    this.#room.listeners.delete(this.#deliver);
    this.#context.metrics.fellBehind.inc();
    void this.#replay();
    return false;
  };

  #replay(): Promise<void> {
    this.#replaying = this.#readUntilLive()
      .catch((error: unknown) => {
        if (!this.#ended) this.#onInterrupted(error);
      })
      .finally(() => {
        this.#replaying = undefined;
      });
    return this.#replaying;
  }

  async #readUntilLive(): Promise<void> {
    const { outlet } = this.#listener;
    const step = () => this.#reading(() => this.#step());
    for (let chases = 0; !this.#ended; ) {
      const sent = await outlet.turn(() => (chases > MAX_CHASES ? this.#room.hold(step) : step()));
      if (sent === 'live') return;
      const { entries, more } = this.#page;
      this.#page = EMPTY_PAGE;
      if (sent === 'paused') continue;
      if (!more) chases += 1;
      // The listener comes from a node that was ahead of this one, or the log ends before the room's cursor.
      if (entries.length === 0 || compareEventIds(this.#position, this.#room.cursor) > 0) {
        await this.#room.catchUp('join');
        if (this.#join()) return;
      }
    }
  }

  #reading<T>(task: () => Promise<T>): Promise<T> {
    return this.#context.reading.run(this.#listener.outlet.subject, task);
  }

  async #step(): Promise<Sent> {
    if (this.#ended) return 'live';
    await this.#read();
    return this.#send();
  }

  async #read(): Promise<void> {
    const { realtime, snapshots, metrics } = this.#context;
    let page = await readLog(realtime, this.#id, this.#position);
    metrics.replayPages.inc();
    this.#snapshots = [];
    if (this.#position === START && !page.truncated) {
      const missesEvents = page.entries.length === 0 && (await this.#hasUnseenEvents());
      if (missesEvents) {
        await sleep(APPENDING_MS);
        page = await readLog(realtime, this.#id, START);
      }
      const [first] = page.entries;
      page.truncated ||= first ? hasLostStart(this.#id, Number(first.id.split('-')[0])) : missesEvents;
    }
    if (page.truncated) this.#snapshots = await snapshots(this.#id, page.from);
    this.#page = page;
  }

  /** Checks whether the records show events that an empty log lacks. */
  async #hasUnseenEvents(): Promise<boolean> {
    const snapshots = await this.#context.snapshots(this.#id, START);
    return snapshots.some(hasBegun) || (snapshots.length > 0 && hasLostStart(this.#id, Date.now()));
  }

  /** Sends the page up to the room's cursor, while the listener takes it. */
  #send(): Sent {
    const { outlet } = this.#listener;
    const { entries, truncated, from } = this.#page;
    const snapshots = this.#snapshots;
    this.#snapshots = [];
    if (this.#ended) return 'live';
    if (!outlet.ready) return 'paused';
    const { metrics } = this.#context;
    if (truncated) {
      this.#position = from;
      for (const snapshot of snapshots) this.#sendOne(snapshot);
      metrics.snapshots.inc(snapshots.length);
    }
    let sent = 0;
    let paused = false;
    for (const { id, event } of entries) {
      if (compareEventIds(id, this.#room.cursor) > 0) break;
      if (!outlet.ready) {
        paused = true;
        break;
      }
      this.#sendOne(envelope(this.#id, id, event));
      this.#position = id;
      sent += 1;
    }
    metrics.delivered.inc({ way: 'replay' }, sent);
    if (paused) return 'paused';
    return this.#join() ? 'live' : 'sent';
  }

  #sendOne(event: AnyEnvelope): void {
    this.#listener.send(event, new Prebuilt([event.type, event]));
  }

  #join(): boolean {
    if (this.#ended) return true;
    if (this.#position !== this.#room.cursor) return false;
    this.#page = EMPTY_PAGE;
    this.#room.listeners.add(this.#deliver);
    return true;
  }
}

const unavailable = (error: unknown): never => {
  if (error instanceof ApiError && error.code === 'rate_limited') throw error;
  throw new ApiError('unavailable', 'The room cannot be opened now: subscribe again in a moment.');
};
