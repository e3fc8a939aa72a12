import type { Server as HttpServer, IncomingMessage } from 'node:http';
import type { RelayServer } from './socket.ts';
import { streamRequestOf } from './stream-request.ts';
import type { Streams } from './streams.ts';

/** The path at which Socket.IO's clients connect. */
export const SOCKETS_PATH = '/socket.io/';

/**
 * Serves WebSockets on `server`: Socket.IO's at its path, and those of sessions. A request with another protocol
 * or path is answered as if it asked for no upgrade (RFC 9110, 7.8), so that no connection is closed without an
 * answer.
 */
export function attachSockets(server: HttpServer, io: RelayServer, streams: Streams): void {
  // Socket.IO would close the other upgrades that are not answered within a second.
  io.attach(server, { destroyUpgrade: false });
  server.on('upgrade', streams.upgrade);
  Object.assign(server, { shouldUpgradeCallback: isWebSocket });
}

const isWebSocket = ({ url = '', headers }: IncomingMessage): boolean =>
  (url.startsWith(SOCKETS_PATH) || streamRequestOf(url) !== undefined) &&
  /(^|,)\s*websocket\s*(,|$)/i.test(headers.upgrade ?? '');
