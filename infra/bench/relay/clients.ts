import { percentile } from '../report.ts';
import { type ClientOptions, openClient } from './client.ts';

/** What the process that runs clients is told, and what it answers. */
export type ClientsMessage = { open: ClientOptions; count: number } | 'reset' | 'report';
export type ClientsReport = { deliveries: number; keys: number; p50: number; p99: number };

let deliveries = 0;
let keys = 0;
let ages: number[] = [];

process.on('message', async (message: ClientsMessage) => {
  if (message === 'reset') {
    [deliveries, keys, ages] = [0, 0, []];
    process.send?.('ok');
  } else if (message === 'report') {
    const report: ClientsReport = { deliveries, keys, p50: percentile(ages, 50), p99: percentile(ages, 99) };
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
      await Promise.all(some);
    }
    process.send?.('ok');
  }
});
process.on('disconnect', () => process.exit(0));
process.send?.('ok');
