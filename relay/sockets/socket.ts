import type { TicketClaims } from '@warmwind/shared/realtime';
import type { DefaultEventsMap, Server, Socket } from 'socket.io';

/** What a connected socket carries: the claims of the ticket that opened it. */
type SocketData = { ticket: TicketClaims };
export type RelayServer = Server<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
export type RelaySocket = Socket<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;

/** Packets that wait for the connection to take them: Engine.IO's queue, which its types do not show. */
export const backlog = ({ conn }: RelaySocket): number =>
  (conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length;
