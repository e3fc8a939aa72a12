import type { TicketClaims } from '@warmwind/shared/realtime';
import type { DefaultEventsMap, Server, Socket } from 'socket.io';
import type { Wire } from './wire.ts';

/** What a connected socket carries: the claims of the ticket that opened it, and its connection. */
type SocketData = { ticket: TicketClaims; wire: Wire };
export type RelayServer = Server<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
export type RelaySocket = Socket<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
