import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Context } from 'hono';
import type { HttpEnv } from './http/http.ts';

/**
 * The status of a draining node's answers. No other answer has it, so that a load balancer tries another node
 * after this status alone.
 */
const STATUS = 502;

/** Refuses a request at a draining node. */
export function refuseRequest(c: Context<HttpEnv>): Response {
  const error = new ApiError('unavailable', 'This node is shutting down: try again.', { retryAfterMs: 1000 });
  const headers = { Connection: 'close', 'Cache-Control': 'no-store', 'Retry-After': '1' };
  return c.json({ ...error.body(c.get('requestId')), statusCode: STATUS }, STATUS, headers);
}

/** Refuses a WebSocket upgrade at a draining node. */
export function refuseUpgrade(_request: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => undefined);
  socket.end(
    `HTTP/1.1 ${STATUS} Bad Gateway\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n`,
  );
}
