import type { TicketClaims } from '@warmwind/shared/realtime';
import type { DefaultEventsMap, Server, Socket } from 'socket.io';

/** What a connected socket carries: the claims of the ticket that opened it. */
type SocketData = { ticket: TicketClaims };
export type RelayServer = Server<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;
export type RelaySocket = Socket<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, SocketData>;

/** A packet that waits; `wsPreEncodedFrame` is what will be written of one that was built beforehand. */
type Waiting = { data?: string | Buffer; options?: { wsPreEncodedFrame?: Buffer[] } };

/** Packets that wait for the connection to take them: Engine.IO's queue, which its types do not show. */
const waiting = ({ conn }: RelaySocket): Waiting[] =>
  (conn as unknown as { writeBuffer: Waiting[] }).writeBuffer;

export const backlog = (socket: RelaySocket): number => waiting(socket).length;

/** Bytes that wait for the connection to take them, beside the one write that is on its way. */
export function unsentBytes(socket: RelaySocket): number {
  const packets = waiting(socket);
  if (packets.length === 0) return 0;
  let bytes = 0;
  for (const { data, options } of packets) {
    bytes += options?.wsPreEncodedFrame?.[0]?.length ?? data?.length ?? 0;
  }
  return bytes;
}
