import { request } from 'node:http';
import { CALL_COMMANDS } from '@warmwind/shared/contract/registry';
import { STREAM_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '@warmwind/shared/contract/tickets';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { createRelay } from '../../../relay/app.ts';
import { readConfig } from '../../../relay/config.ts';
import type { StackFile } from '../../local/stack/state.ts';
import { pathCases, type RouteCase } from './routes.ts';

/** The cases of every route of the relay over HTTP, which has one for each kind of call. */
export async function relayCases({ redis, authSecret }: StackFile): Promise<RouteCase[]> {
  const env = {
    REDIS_QUEUE_URL: redis.queue,
    REDIS_REALTIME_URL: redis.realtime,
    AUTH_SECRET: authSecret,
  };
  const log = createLog('test');
  log.level = 'silent';
  const relay = createRelay(readConfig(env), log);
  const { server } = await listen(relay.http, '127.0.0.1', 0);
  relay.attach(server);
  const routes = relay.http.routes.filter(({ method, path }) => method !== 'ALL' && path.includes(':'));
  await relay.close();
  return routes.flatMap(({ method, path }) => {
    const template = path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}');
    if (!template.includes('{kind}')) return pathCases({ method, path: template });
    return CALL_COMMANDS.flatMap(({ kind, example }) =>
      pathCases({
        method,
        path: template.replace('{kind}', kind),
        body: { type: 'application/json', text: JSON.stringify(example) },
      }),
    );
  });
}

/** Paths of the relay's WebSockets. */
export const STREAM_PATHS = ['/containers/{id}/vnc', '/containers/{id}/tunnels/80'];

/** Requests a WebSocket with a ticket. @returns the status of the answer; 101 is a WebSocket */
export function upgrade(url: string, ticket: string): Promise<number> {
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Protocol': `${STREAM_PROTOCOL}, ${TICKET_PROTOCOL_PREFIX}${ticket}`,
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers });
    sent.once('response', (response) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    sent.once('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    sent.once('error', reject);
    sent.end();
  });
}
