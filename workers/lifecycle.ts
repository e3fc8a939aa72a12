import { once } from 'node:events';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { DrainStep } from '@warmwind/shared/runtime/node/shutdown';
import type { Board } from './admin/board.ts';
import type { CancellationSubscriber } from './cancellation/subscriber.ts';
import type { DesktopHost } from './containers/host.ts';
import type { Sweep } from './containers/sweep.ts';
import type { Models } from './inference/models.ts';
import type { Leaders } from './leader/leaders.ts';
import type { Lease } from './leader/lease.ts';
import type { Workers } from './runtime/create-workers.ts';
import type { Stores } from './stores.ts';
import type { Delivery } from './webhooks/delivery.ts';

/** How long a start waits for Redis before it goes on asking in the background, ms. */
const FIRST_CONTACT_MS = 2000;
/** How long commands to this host may still take at shutdown, ms. */
const FINISH_WITHIN_MS = 10_000;

/** Everything of a worker that starts and ends. */
export type Parts = {
  stores: Stores;
  host: DesktopHost;
  lease: Lease;
  sweep: Sweep;
  models: Models;
  workers: Workers;
  leaders: Leaders;
  cancellations: CancellationSubscriber;
  delivery: Delivery;
  board: Board | undefined;
  log: Logger;
};

/** Starts every part. Work is taken once the host's lease is held. */
export async function startParts(parts: Parts): Promise<void> {
  const { stores, host, lease, sweep, models, workers, leaders, cancellations, delivery } = parts;
  const { failFastRedis } = stores;
  // A prompt connection refuses what comes before it is up.
  const signal = AbortSignal.timeout(FIRST_CONTACT_MS);
  if (failFastRedis.status !== 'ready') await once(failFastRedis, 'ready', { signal }).catch(() => undefined);
  void stores.migrate();
  lease.start();
  models.start();
  for (const worker of workers.ofAnyHost) worker.run();
  cancellations.start();
  leaders.observer.start();
  leaders.ledger?.start();
  sweep.start();
  delivery.start();
  host.screens.start();
  host.calls.start();
  leaders.cleanup.start();
}

/** The steps of a shutdown: no new work, then the host's containers, then the leases by which peers take over. */
export function drainSteps(parts: Parts): DrainStep[] {
  const { stores, host, lease, sweep, models, workers, leaders, cancellations, delivery, board, log } = parts;
  return [
    {
      name: 'queues',
      withinMs: FINISH_WITHIN_MS,
      run: () =>
        Promise.all([
          host.sessions.close(),
          models.withdraw(),
          host.calls.close(),
          ...workers.all.map((worker) => worker.close()),
          delivery.close(),
          leaders.cleanup.close(),
          sweep.close(),
        ]),
    },
    { name: 'models', withinMs: 3000, run: () => models.close() },
    {
      name: 'desktops',
      withinMs: 5000,
      // A last sweep: what runs here is known to run before peers may take it for a start that died.
      run: () =>
        Promise.all([
          ...host.removing,
          sweep
            .once()
            .catch((error: unknown) => log.warn({ err: error }, 'no last sweep'))
            .finally(() => host.screens.close()),
        ]),
    },
    {
      name: 'leases',
      withinMs: 4000,
      run: () =>
        Promise.all([
          leaders.observer.close(),
          leaders.ledger?.close(),
          lease.release(),
          cancellations.close(),
        ]),
    },
    {
      name: 'redis',
      withinMs: 3000,
      run: async () => {
        await board?.close();
        await stores.closeRedis();
      },
    },
    { name: 'ledger', withinMs: 2000, run: () => stores.closeLedger() },
  ];
}
