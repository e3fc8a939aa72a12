import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import type { DefaultEventsMap, Server, Socket } from 'socket.io';
import type { Outlet } from '../outgoing.ts';
import type { Wire } from './wire.ts';

/** What a connected socket carries: the claims of the ticket that opened it, and the way out to it. */
type SocketData = { ticket: TicketClaims; wire: Wire; outlet: Outlet };
export type RelayServer = Server<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
export type RelaySocket = Socket<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
