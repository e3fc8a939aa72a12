import type { Socket } from 'node:net';
import { percentile } from '../report.ts';
import { type ClientOptions, openClient } from './client.ts';

/** The messages that a process of clients accepts. */
export type ClientsMessage = { open: ClientOptions; count: number } | 'reset' | 'report';
/** Counts of the deliveries. Bytes: all received over the connections, with WebSocket headers. */
export type ClientsReport = { deliveries: number; keys: number; bytes: number; p50: number; p99: number };

let deliveries = 0;
let keys = 0;
let ages: number[] = [];
const sockets: Socket[] = [];
let read = 0;
const bytesRead = () => sockets.reduce((sum, socket) => sum + socket.bytesRead, 0);

process.on('message', async (message: ClientsMessage) => {
  if (message === 'reset') {
    [deliveries, keys, ages, read] = [0, 0, [], bytesRead()];
    process.send?.('ok');
  } else if (message === 'report') {
    const [p50, p99] = [percentile(ages, 50), percentile(ages, 99)];
    const report: ClientsReport = { deliveries, keys, bytes: bytesRead() - read, p50, p99 };
    process.send?.(report);
  } else {
    for (let opened = 0; opened < message.count; opened += 25) {
      const some = Array.from({ length: Math.min(25, message.count - opened) }, () =>
        openClient(message.open, ({ ageMs, key }) => {
          deliveries += 1;
          keys += key ? 1 : 0;
          ages.push(ageMs);
        }),
      );
      sockets.push(...(await Promise.all(some)));
    }
    process.send?.('ok');
  }
});
process.on('disconnect', () => process.exit(0));
process.send?.('ok');
