import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Bucket } from './bucket.ts';
import type { RelayServer } from './socket.ts';

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
