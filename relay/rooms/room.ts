import {
  type AnyEnvelope,
  type AnyEvent,
  compareEventIds,
  type Snapshot,
} from '@warmwind/shared/contract/rooms';
import { roomKeys } from '@warmwind/shared/engine/keys';
import type { FairGate } from '@warmwind/shared/runtime/node/fair-gate';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import type { CatchUpCause, Metrics } from '../metrics.ts';
import { Prebuilt } from '../sockets/prebuilt.ts';
import { envelope, parseMessage, type RoomId, readLog, readTail, START } from './log.ts';

/** The dependencies that all rooms of a node share. */
export type RoomContext = {
  realtime: Redis;
  /** Bounds how many pages of logs are in memory at once. */
  reading: FairGate;
  snapshots: (id: RoomId, position: string) => Promise<Snapshot[]>;
  metrics: Metrics;
  log: Logger;
};

/**
 * One room on one node. Its live listeners have received every event up to `cursor`, in order and once. A
 * message that continues the cursor is delivered; after any other message the room reads its log.
 */
export class Room {
  readonly id: RoomId;
  readonly channel: string;
  /** The live listeners; each returns whether it was sent the event. */
  readonly listeners = new Set<(event: AnyEnvelope, prebuilt: Prebuilt) => boolean>();
  /** Subscriptions that hold this room. */
  holders = 0;
  cursor = START;
  /** Resolves once the channel is subscribed and `cursor` is set. */
  readonly opened: Promise<void>;

  readonly #context: RoomContext;
  #closed = false;
  /** Tasks that hold the cursor, the last of them, and whether a message arrived meanwhile. */
  #tasks = 0;
  #last: Promise<unknown> = Promise.resolve();
  #behind = false;
  #advancing: Promise<void> | undefined;

  constructor(id: RoomId, context: RoomContext, subscribe: (channel: string) => Promise<unknown>) {
    this.id = id;
    this.channel = roomKeys.channel(id.owner, id.room);
    this.#context = context;
    this.opened = this.hold(async () => {
      await subscribe(this.channel);
      this.cursor = await readTail(context.realtime, id);
    });
  }

  /** Handles a message of the room's channel. */
  receive(message: string): void {
    if (this.#tasks > 0) {
      this.#behind = true;
      return;
    }
    const { prev, id, event } = parseMessage(message);
    if (prev === this.cursor) {
      this.#deliver(id, event);
      return;
    }
    // A catch-up has delivered this event already. A log's first event after others means that the log was
    // lost.
    if (compareEventIds(id, this.cursor) <= 0 && prev !== START) return;
    this.catchUp('gap').catch(() => undefined);
  }

  /**
   * Delivers the events of the log after the cursor. Rejects while Redis is away, and may be called again.
   */
  catchUp(cause: CatchUpCause): Promise<void> {
    this.#context.metrics.catchUps.inc({ cause });
    this.#behind = true;
    this.#advancing ??= this.hold(async () => {
      while (this.#behind && !this.#closed) {
        this.#behind = false;
        await this.#readToEnd();
      }
    })
      .catch((error: unknown) => {
        this.#context.log.warn({ room: this.id.room, cause, err: error }, 'catching up failed');
        throw error;
      })
      .finally(() => {
        this.#advancing = undefined;
      });
    return this.#advancing;
  }

  /** Runs `task` while the cursor does not move. */
  hold<T>(task: () => Promise<T>): Promise<T> {
    this.#tasks += 1;
    const run = this.#last.then(task).finally(() => {
      this.#tasks -= 1;
      if (this.#tasks === 0 && this.#behind && !this.#closed) {
        this.catchUp('message').catch(() => undefined);
      }
    });
    this.#last = run.catch(() => undefined);
    return run;
  }

  close(): void {
    this.#closed = true;
  }

  async #readToEnd(): Promise<void> {
    let more = true;
    while (more && !this.#closed) {
      more = await this.#context.reading.run(this.id.owner, () => this.#readPage());
    }
  }

  /** @returns whether the log may hold more */
  async #readPage(): Promise<boolean> {
    const page = await readLog(this.#context.realtime, this.id, this.cursor);
    if (page.truncated) {
      const snapshots = await this.#context.snapshots(this.id, page.from);
      if (this.#closed) return false;
      this.cursor = page.from;
      for (const snapshot of snapshots) this.#broadcast(snapshot);
      this.#context.metrics.snapshots.inc(snapshots.length);
    }
    if (this.#closed) return false;
    for (const { id, event } of page.entries) this.#deliver(id, event);
    return page.more;
  }

  #deliver(id: string, event: AnyEvent): void {
    this.cursor = id;
    this.#context.metrics.delivered.inc({ way: 'live' }, this.#broadcast(envelope(this.id, id, event)));
  }

  /** @returns the number of listeners that were sent the event */
  #broadcast(event: AnyEnvelope): number {
    const prebuilt = new Prebuilt([event.type, event]);
    let sent = 0;
    for (const listener of this.listeners) if (listener(event, prebuilt)) sent += 1;
    return sent;
  }
}
