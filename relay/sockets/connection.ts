import type { ErrorCode } from '@warmwind/shared/contract/errors';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { originRefusal } from '../auth/origin.ts';
import { subjectOf, type VerifyTicket } from '../auth/ticket.ts';
import type { Calls } from '../calls/calls.ts';
import { handleCalls } from '../calls/handle.ts';
import type { CallLimiter } from '../calls/limiter.ts';
import type { Connections } from '../connections.ts';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { Outgoing } from '../outgoing.ts';
import type { RecordSources } from '../rooms/records.ts';
import type { RoomContext } from '../rooms/room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Screens } from '../screen/screens.ts';
import { handleScreens } from '../screen/watch.ts';
import { handleSessions } from '../sessions/handle.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Holdings, Rates } from '../shares.ts';
import { handleTerminals } from '../terminals/handle.ts';
import { Inbound } from './inbound.ts';
import { handleRooms } from './rooms.ts';
import type { RelayServer, RelaySocket } from './socket.ts';
import { Wire } from './wire.ts';

export type ConnectionContext = {
  /** Origins whose pages may connect. */
  origins: readonly string[];
  verify: VerifyTicket;
  connections: Connections;
  outgoing: Outgoing;
  lookups: Rates;
  heldRooms: Holdings;
  recordSources: RecordSources;
  rooms: Rooms;
  room: RoomContext;
  screens: Screens;
  sessions: Sessions;
  calls: Calls;
  callLimiter: CallLimiter;
  metrics: Metrics;
  log: Logger;
};

/** Admits sockets by their ticket, and closes them when it expires. */
export function handleConnections(io: RelayServer, context: ConnectionContext): void {
  const { connections, metrics, log } = context;

  io.use(async (socket, next) => {
    // Refused here, because a browser does not show a page the answer to a handshake.
    const foreign = originRefusal(socket.handshake.headers, context.origins);
    if (foreign !== undefined) {
      metrics.refused.inc({ reason: 'origin' });
      return next(refusal('forbidden', foreign));
    }
    const ticket = await context.verify(socket.handshake.auth.token).catch(() => undefined);
    if (!ticket) {
      metrics.refused.inc({ reason: 'unauthenticated' });
      return next(
        refusal('unauthenticated', 'Fetch a relay ticket from POST /realtime/token and connect with it.'),
      );
    }
    if (connections.isFull(ticket)) {
      metrics.refused.inc({ reason: 'quota_exceeded' });
      const most = LIMITS.connectionsPerUser;
      return next(refusal('quota_exceeded', `At most ${most} connections a user or share link: close some.`));
    }
    const wire = new Wire(socket.conn);
    const outlet = context.outgoing.open(subjectOf(ticket), {
      heldBytes: () => wire.heldBytes,
      close: () => socket.conn.close(true),
    });
    // On the connection, because it may end before the socket connects.
    socket.conn.once('close', () => outlet.close());
    socket.data = { ticket, wire, outlet };
    next();
  });

  io.on('connection', (socket) => {
    const { ticket } = socket.data;
    const left = connections.add({ ticket, close: () => goodbye(socket) });
    metrics.sockets.inc();
    log.debug({ socket: socket.id, userId: ticket.sub, ticket: ticket.jti }, 'connected');
    socket.on('disconnect', (reason) => {
      left();
      metrics.sockets.dec();
      log.debug({ socket: socket.id, reason }, 'disconnected');
    });
    const inbound = new Inbound(socket, metrics, log);
    handleRooms(socket, inbound, context.recordSources, context.rooms, context.room, context);
    handleScreens(socket, inbound, context);
    handleSessions(socket, inbound, context);
    handleTerminals(socket, inbound, context);
    handleCalls(socket, inbound, context);
  });
}

/**
 * Closes a socket so that its client reconnects. A client does not reconnect after Socket.IO's own
 * `disconnect`.
 */
const goodbye = (socket: RelaySocket): void => socket.conn.close();

function refusal(code: ErrorCode, message: string): Error {
  return Object.assign(new Error(message), { data: { code, message } });
}
