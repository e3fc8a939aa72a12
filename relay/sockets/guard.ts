import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Bucket } from './bucket.ts';
import type { RelayServer, RelaySocket } from './socket.ts';

/** Connections as the transport sees them, from before they are anyone's. */
type Connection = {
  on: (event: 'packet', listener: () => void) => unknown;
  close: (discard?: boolean) => void;
};

/** Closes every connection that floods, whatever it sends and whoever it is. */
export function guardFloods(io: RelayServer, metrics: Metrics): void {
  io.engine.on('connection', (connection: Connection) => {
    const bucket = new Bucket(LIMITS.packetsPerSecond, LIMITS.packetsBurst);
    connection.on('packet', () => {
      if (bucket.take()) return;
      metrics.dropped.inc({ reason: 'flood' });
      connection.close(true);
    });
  });
}

/** Every quarter of the bound, closes sockets that have been slow for all of it. Stop it by `clearInterval`. */
export function closeSlowSockets(io: RelayServer, metrics: Metrics): NodeJS.Timeout {
  const slowSince = new WeakMap<RelaySocket, number>();
  return setInterval(() => {
    const now = performance.now();
    for (const socket of io.of('/').sockets.values()) {
      const waiting = socket.data.wire.backlog;
      if (waiting < LIMITS.liveBacklog) {
        slowSince.delete(socket);
        continue;
      }
      const since = slowSince.get(socket) ?? now;
      slowSince.set(socket, since);
      if (now - since < LIMITS.slowMs && waiting < LIMITS.liveBacklogMost) continue;
      metrics.slow.inc();
      socket.conn.close(true);
    }
  }, LIMITS.slowMs / 4).unref();
}
