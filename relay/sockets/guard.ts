import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Bucket } from './bucket.ts';
import type { RelayServer } from './socket.ts';

/** A connection of the transport, before it has a ticket. */
type Connection = {
  on: (event: 'packet', listener: () => void) => unknown;
  close: (discard?: boolean) => void;
};

/** Closes every connection that exceeds the rate of packets, with or without a ticket. */
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
