import type { Server as HttpServer, IncomingMessage } from 'node:http';

/** The path at which Socket.IO's clients connect. */
export const SOCKETS_PATH = '/socket.io/';

/**
 * Lets `server` upgrade to WebSockets only at Socket.IO's path. A request with another protocol or path is
 * answered as if it asked for no upgrade (RFC 9110, 7.8), so that no connection is closed without an answer.
 */
export function answerUpgrades(server: HttpServer): void {
  Object.assign(server, { shouldUpgradeCallback: isWebSocket });
}

const isWebSocket = ({ url = '', headers }: IncomingMessage): boolean =>
  url.startsWith(SOCKETS_PATH) && /(^|,)\s*websocket\s*(,|$)/i.test(headers.upgrade ?? '');
