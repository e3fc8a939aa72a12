import type { ErrorCode } from '@warmwind/shared/errors';
import type { Logger } from '@warmwind/shared/node/log';
import type { VerifyTicket } from '../auth/ticket.ts';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { Known } from '../rooms/records.ts';
import type { RoomContext } from '../rooms/room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { Inbound } from './inbound.ts';
import { handleRooms } from './rooms.ts';
import type { RelayServer, RelaySocket } from './socket.ts';

/** The longest that a timer can wait, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export type ConnectionContext = {
  verify: VerifyTicket;
  known: Known;
  rooms: Rooms;
  room: RoomContext;
  metrics: Metrics;
  log: Logger;
};

/** Lets sockets in by their ticket, and closes them when it expires. */
export function handleConnections(io: RelayServer, context: ConnectionContext): void {
  const { metrics, log } = context;
  const perUser = new Map<string, number>();

  io.use(async (socket, next) => {
    const ticket = await context.verify(socket.handshake.auth.token).catch(() => undefined);
    if (!ticket) {
      metrics.refused.inc({ reason: 'unauthenticated' });
      return next(
        refusal('unauthenticated', 'Fetch a relay ticket from POST /realtime/token and connect with it.'),
      );
    }
    if ((perUser.get(ticket.sub) ?? 0) >= LIMITS.socketsPerUser) {
      metrics.refused.inc({ reason: 'quota_exceeded' });
      return next(refusal('quota_exceeded', `At most ${LIMITS.socketsPerUser} sockets a user: close some.`));
    }
    socket.data.ticket = ticket;
    next();
  });

  io.on('connection', (socket) => {
    const { sub, exp, jti } = socket.data.ticket;
    perUser.set(sub, (perUser.get(sub) ?? 0) + 1);
    metrics.sockets.inc();
    log.debug({ socket: socket.id, userId: sub, ticket: jti }, 'connected');
    const expiry = setTimeout(
      () => goodbye(socket),
      Math.min(Math.max(exp * 1000 - Date.now(), 0), LONGEST_TIMER_MS),
    );
    socket.on('disconnect', (reason) => {
      clearTimeout(expiry);
      const left = (perUser.get(sub) ?? 1) - 1;
      if (left > 0) perUser.set(sub, left);
      else perUser.delete(sub);
      metrics.sockets.dec();
      log.debug({ socket: socket.id, reason }, 'disconnected');
    });
    const inbound = new Inbound(socket, metrics, log);
    handleRooms(socket, inbound, context.known, context.rooms, context.room);
  });
}

/** Closes a socket so that its client reconnects by itself, which it does not after Socket.IO's own `disconnect`. */
export const goodbye = (socket: RelaySocket): void => socket.conn.close();

function refusal(code: ErrorCode, message: string): Error {
  return Object.assign(new Error(message), { data: { code, message } });
}
