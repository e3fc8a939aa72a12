import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Job } from '@warmwind/shared/contract/jobs';
import { RELAY_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { jwtVerify } from 'jose';
import { AUTH_SECRET } from '../../infra/local/edge/testing.ts';

/** A request to a test's relay, and whether its client has disconnected. */
type Asked = { path: string; user: string; lastEventId: string | undefined; exp: number; gone: boolean };

export type TestRelay = {
  url: string;
  asked: Asked[];
  /** Jobs that have ended, as the relay reports them; all others have not ended. */
  ended: Map<string, Job>;
  /** Sends to every open stream. */
  send: (text: string) => void;
  /** While set, the relay answers nothing. */
  silent: boolean;
  /** Ends every open stream. */
  finish: () => void;
  stop: () => Promise<void>;
};

/**
 * Starts the relay's HTTP side as the edge sees it: `GET /jobs/:id/events` and `GET /jobs/:id/end?waitMs=N`,
 * with a ticket.
 */
export async function startTestRelay(): Promise<TestRelay> {
  const streams = new Set<ServerResponse>();
  const relay = { asked: [] as Asked[], ended: new Map<string, Job>(), silent: false };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://relay');
    const [, id = '', what] = /^\/jobs\/([^/]+)\/(events|end)$/.exec(pathname) ?? [];
    const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
    const key = new TextEncoder().encode(AUTH_SECRET);
    const { payload } = await jwtVerify(token, key, { audience: RELAY_AUDIENCE });
    const lastEventId = request.headers['last-event-id'] as string | undefined;
    const { sub: user = '', exp = 0 } = payload;
    const asked = { path: request.url ?? '', user, lastEventId, exp, gone: false };
    relay.asked.push(asked);
    response.on('close', () => {
      asked.gone = !response.writableFinished;
      streams.delete(response);
    });
    if (relay.silent) return;
    if (what === 'events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(': hello\n\n');
      streams.add(response);
      return;
    }
    const deadline = Date.now() + Number(searchParams.get('waitMs'));
    while (Date.now() < deadline && !response.closed && !relay.ended.has(id)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const job = relay.ended.get(id);
    response.writeHead(job ? 200 : 204, { 'Content-Type': 'application/json' });
    response.end(job ? JSON.stringify(job) : undefined);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      response.writeHead(401);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(relay, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    send: (text: string) => {
      for (const stream of streams) stream.write(text);
    },
    finish: () => {
      for (const stream of streams) stream.end();
    },
    stop: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}
