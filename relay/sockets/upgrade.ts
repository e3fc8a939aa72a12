import type { Server as HttpServer, IncomingMessage } from 'node:http';

/** Where Socket.IO's clients connect. */
export const SOCKETS_PATH = '/socket.io/';

/**
 * Lets `server` turn to WebSockets only where Socket.IO is. A request that offers any other protocol, or offers one
 * elsewhere, is answered as if it offered none (RFC 9110, 7.8): no connection is closed without an answer.
 */
export function answerUpgrades(server: HttpServer): void {
  Object.assign(server, { shouldUpgradeCallback: isWebSocket });
}

const isWebSocket = ({ url = '', headers }: IncomingMessage): boolean =>
  url.startsWith(SOCKETS_PATH) && /(^|,)\s*websocket\s*(,|$)/i.test(headers.upgrade ?? '');
