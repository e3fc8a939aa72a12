import { ApiError } from '@warmwind/shared/contract/errors';
import { CLIENT_EVENTS } from '@warmwind/shared/contract/socket';
import type { Ack, SubscribeAck } from '@warmwind/shared/contract/tickets';
import { subjectOf } from '../auth/ticket.ts';
import { LIMITS } from '../limits.ts';
import { openRoom } from '../rooms/access.ts';
import { guestListener } from '../rooms/guest.ts';
import { socketListener } from '../rooms/listener.ts';
import type { RecordSources } from '../rooms/records.ts';
import type { RoomContext } from '../rooms/room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { Subscription } from '../rooms/subscription.ts';
import type { Holdings, Rates } from '../shares.ts';
import type { Inbound } from './inbound.ts';
import type { RelaySocket } from './socket.ts';

/** A room that a socket holds. */
type HeldRoom = { subscription?: Subscription; release: () => void };

/**
 * Handles `subscribe` and `unsubscribe` of one socket. A second subscription to a room replaces the first.
 */
export function handleRooms(
  socket: RelaySocket,
  inbound: Inbound,
  recordSources: RecordSources,
  rooms: Rooms,
  context: RoomContext,
  { lookups, heldRooms }: { lookups: Rates; heldRooms: Holdings },
): void {
  const subject = subjectOf(socket.data.ticket);
  /** By room name. */
  const held = new Map<string, HeldRoom>();
  const drop = (name: string) => {
    const entry = held.get(name);
    if (!entry) return;
    held.delete(name);
    entry.subscription?.end();
    entry.release();
  };
  socket.on('disconnect', () => {
    for (const name of held.keys()) drop(name);
  });

  const subscribe = async (name: string, after: string | undefined, reply: (ack: Ack) => void) => {
    drop(name);
    if (held.size >= LIMITS.roomsPerSocket) {
      throw new ApiError(
        'quota_exceeded',
        `A socket may hold ${LIMITS.roomsPerSocket} rooms: leave one first.`,
      );
    }
    lookups.take(subject);
    const entry: HeldRoom = { release: heldRooms.take(subject) };
    held.set(name, entry);
    const current = () => socket.connected && held.get(name) === entry;
    try {
      const id = await openRoom(recordSources, socket.data.ticket, name);
      if (!current()) throw superseded();
      const invalid = (err: unknown) => {
        context.log.warn({ room: name, socket: socket.id, err }, 'a replay was broken off');
        // The client reconnects and resumes after its last event.
        if (current()) socket.conn.close(true);
      };
      const listener = socketListener(socket);
      const { containerId: guestOf } = socket.data.ticket;
      const shown = guestOf === undefined ? listener : guestListener(listener);
      const subscription = new Subscription(shown, id, rooms, context, invalid);
      entry.subscription = subscription;
      const truncated = await subscription.open(after);
      if (!current()) throw superseded();
      const ack: SubscribeAck = { ok: true, truncated };
      reply(ack);
      void subscription.run();
    } catch (error) {
      if (held.get(name) === entry) drop(name);
      throw error;
    }
  };

  inbound.on('subscribe', CLIENT_EVENTS.subscribe.argument, ({ room, after }, reply) =>
    subscribe(room, after ?? undefined, reply).catch((error: unknown) => {
      context.metrics.denied.inc({ code: error instanceof ApiError ? error.code : 'internal' });
      throw error;
    }),
  );
  inbound.on('unsubscribe', CLIENT_EVENTS.unsubscribe.argument, async ({ room }, reply) => {
    drop(room);
    reply({ ok: true });
  });
}

const superseded = () =>
  new ApiError('conflict', 'The room was left or subscribed to again before this subscription began.');
