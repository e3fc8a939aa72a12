import { createShardedAdapter } from '@socket.io/redis-adapter';
import { Server } from 'socket.io';
import { WebSocketServer } from 'ws';
import { LIMITS } from '../limits.ts';
import type { Stores } from '../stores.ts';
import type { RelayServer } from './socket.ts';
import { SOCKETS_PATH } from './upgrade.ts';

/**
 * Creates a node's Socket.IO server, connected to the other nodes through the realtime Redis. It does not
 * listen yet.
 */
export const createSocketServer = ({ realtime, nodes }: Pick<Stores, 'realtime' | 'nodes'>): RelayServer =>
  new Server({
    path: SOCKETS_PATH,
    serveClient: false,
    transports: ['websocket'],
    pingInterval: 25_000,
    pingTimeout: 20_000,
    connectTimeout: LIMITS.connectMs,
    maxHttpBufferSize: LIMITS.inboundBytes,
    perMessageDeflate: false,
    wsEngine: BoundedWebSocketServer,
    adapter: createShardedAdapter(realtime, nodes, { subscriptionMode: 'dynamic' }),
  });

/** The server that Socket.IO creates, with a bound on the fragments of one message. */
class BoundedWebSocketServer extends WebSocketServer {
  constructor(options: ConstructorParameters<typeof WebSocketServer>[0]) {
    super({ ...options, maxFragments: LIMITS.inboundFragments } as typeof options);
  }
}
