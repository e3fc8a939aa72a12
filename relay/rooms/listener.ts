import type { Envelope } from '@warmwind/shared/events';
import type { RelaySocket } from '../sockets/socket.ts';
import type { Room } from './room.ts';

/** Who a subscription sends to: a socket, or a stream over HTTP. */
export type Listener = {
  send: (event: Envelope) => void;
  /** What it was sent and has not taken yet, in packets. */
  backlog: () => number;
  /** From this tick on it is sent all that is new in the room. */
  join: (room: Room) => void;
  leave: (room: Room) => void;
};

/** A socket is live in a room as a member of a Socket.IO room, so that an event is encoded once for all of them. */
export const socketListener = (socket: RelaySocket): Listener => ({
  send: (event) => socket.emit(event.type, event),
  backlog: () => socket.data.wire.backlog,
  join: ({ live }) => socket.join(live),
  leave: ({ live }) => socket.leave(live),
});
