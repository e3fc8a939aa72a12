import { setTimeout as sleep } from 'node:timers/promises';
import { roomKeys } from '@warmwind/shared/engine/keys';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { CatchUpCause } from '../metrics.ts';
import { type RoomId, START } from './log.ts';
import { Room, type RoomContext } from './room.ts';

/** Time that a message has to arrive after its event is in the log, before the room reads the log, ms. */
const IN_FLIGHT_MS = 100;

/** The rooms that this node follows: opened for the first subscription, closed after the last. */
export class Rooms {
  readonly #rooms = new Map<string, Room>();
  readonly #context: RoomContext;
  readonly #subscriber: Redis;
  readonly #timer: NodeJS.Timeout;
  #checking = false;

  /** @param subscriber a dedicated queueing connection; this class restores its subscriptions, not ioredis */
  constructor(context: RoomContext, subscriber: Redis) {
    this.#context = context;
    this.#subscriber = subscriber;
    subscriber.options.autoResubscribe = false;
    subscriber.on('smessage', (channel: string, message: string) => this.#receive(channel, message));
    subscriber.on('ready', () => {
      this.#resubscribe().catch((err: unknown) => context.log.warn({ err }, 'resubscribing failed'));
    });
    this.#timer = setInterval(() => {
      this.#checkTails().catch((err: unknown) => context.log.warn({ err }, 'tail check failed'));
    }, LIMITS.tailCheckMs).unref();
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** Acquires a room. Wait for its `opened`, and call `release` in every case. */
  acquire(id: RoomId): Room {
    const channel = roomKeys.channel(id.owner, id.room);
    let room = this.#rooms.get(channel);
    if (!room) {
      const opened = new Room(id, this.#context, (name) => this.#subscriber.ssubscribe(name));
      opened.opened.catch(() => this.#forget(opened));
      this.#rooms.set(channel, opened);
      room = opened;
    }
    room.holders += 1;
    return room;
  }

  release(room: Room): void {
    room.holders -= 1;
    if (room.holders === 0) this.#forget(room);
  }

  /** Catches up every room whose log has grown or was lost without a message. */
  async #checkTails(): Promise<void> {
    if (this.#checking || this.#context.realtime.status !== 'ready') return;
    this.#checking = true;
    try {
      const rooms = [...this.#rooms.values()];
      for (let i = 0; i < rooms.length; i += LIMITS.tailCheckBatch) {
        const behind = await this.#behind(rooms.slice(i, i + LIMITS.tailCheckBatch));
        if (behind.length === 0) continue;
        await sleep(IN_FLIGHT_MS);
        await this.#catchUp(
          behind.filter(({ room, cursor }) => room.cursor === cursor).map(({ room }) => room),
          'tail',
        );
      }
    } finally {
      this.#checking = false;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const room of this.#rooms.values()) room.close();
    this.#rooms.clear();
  }

  #receive(channel: string, message: string): void {
    try {
      this.#rooms.get(channel)?.receive(message);
    } catch (err) {
      this.#context.log.error({ channel, err }, 'a message could not be read');
    }
  }

  /**
   * Closes a room. Commands of one connection keep their order, so a new subscription to it follows this
   * one's end.
   */
  #forget(room: Room): void {
    room.close();
    if (this.#rooms.get(room.channel) !== room) return;
    this.#rooms.delete(room.channel);
    this.#subscriber.sunsubscribe(room.channel).catch(() => undefined);
  }

  async #resubscribe(): Promise<void> {
    const rooms = [...this.#rooms.values()];
    await Promise.all(rooms.map((room) => this.#subscriber.ssubscribe(room.channel)));
    await this.#catchUp(rooms, 'reconnect');
  }

  async #behind(rooms: Room[]): Promise<{ room: Room; cursor: string }[]> {
    const trip = this.#context.realtime.pipeline();
    const asked = rooms.map((room) => ({ room, cursor: room.cursor }));
    for (const { room, cursor } of asked) {
      const log = roomKeys.log(room.id.owner, room.id.room);
      trip.xrevrange(log, '+', `(${cursor}`, 'COUNT', 1).exists(log);
    }
    const answers = (await trip.exec()) ?? [];
    return asked.filter(({ cursor }, i) => {
      const [error, newer] = answers[2 * i] ?? [];
      const [alsoError, exists] = answers[2 * i + 1] ?? [];
      if (error || alsoError) return false;
      return (Array.isArray(newer) && newer.length > 0) || (exists === 0 && cursor !== START);
    });
  }

  async #catchUp(rooms: Room[], cause: CatchUpCause): Promise<void> {
    const waiting = rooms.values();
    const work = async () => {
      for (const room of waiting) await room.catchUp(cause).catch(() => undefined);
    };
    await Promise.all(Array.from({ length: LIMITS.catchUpsAtOnce }, work));
  }
}
