import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Context } from 'hono';
import type { HttpEnv } from './http/http.ts';

/** The status that only a node which is going down answers: a balancer asks another node then, and after no other status. */
const STATUS = 502;

/** Answers a request at a node which is going down. */
export function refuseRequest(c: Context<HttpEnv>): Response {
  const error = new ApiError('unavailable', 'This node is going down: ask again.', { retryAfterMs: 1000 });
  const headers = { Connection: 'close', 'Cache-Control': 'no-store', 'Retry-After': '1' };
  return c.json({ ...error.body(c.get('requestId')), statusCode: STATUS }, STATUS, headers);
}

/** Answers a WebSocket's request at a node which is going down. */
export function refuseUpgrade(_request: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => undefined);
  socket.end(
    `HTTP/1.1 ${STATUS} Bad Gateway\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n`,
  );
}
