import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import type { DefaultEventsMap, Server, Socket } from 'socket.io';
import type { Outlet } from '../outgoing.ts';
import type { Wire } from './wire.ts';

/** The data of a connected socket: the claims of its ticket, its wire and its outlet. */
type SocketData = { ticket: TicketClaims; wire: Wire; outlet: Outlet };
export type RelayServer = Server<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
export type RelaySocket = Socket<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
