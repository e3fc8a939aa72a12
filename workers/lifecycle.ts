import { once } from 'node:events';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { DrainStep } from '@warmwind/shared/runtime/node/shutdown';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Board } from './admin/board.ts';
import type { CancellationSubscriber } from './cancellation/subscriber.ts';
import type { DesktopHost } from './containers/host.ts';
import type { Sweep } from './containers/sweep.ts';
import type { Models } from './inference/models.ts';
import type { Leaders } from './leader/leaders.ts';
import type { Lease } from './leader/lease.ts';
import { createLivenessHandlers } from './liveness/create-liveness.ts';
import type { Liveness } from './liveness/liveness.ts';
import type { Recovery } from './liveness/recovery.ts';
import type { Metrics } from './metrics.ts';
import type { Promoter } from './placement/promoter.ts';
import type { Workers } from './runtime/create-workers.ts';
import type { Stores } from './stores.ts';
import type { Delivery } from './webhooks/delivery.ts';

/** Time that a start waits for Redis, and for the engine, before it continues without, ms. */
const FIRST_CONTACT_MS = 2000;
/** Time that running commands have at shutdown, ms. */
const FINISH_WITHIN_MS = 10_000;

/** The parts of a worker that start and shut down. */
export type Parts = {
  stores: Stores;
  host: DesktopHost;
  lease: Lease;
  sweep: Sweep;
  promoter: Promoter;
  models: Models;
  workers: Workers;
  leaders: Leaders;
  cancellations: CancellationSubscriber;
  delivery: Delivery;
  liveness: Liveness;
  recovery: Recovery;
  board: Board | undefined;
  metrics: Metrics;
  log: Logger;
};

/** Starts every part. The worker takes jobs once it holds the host's lease. */
export async function startParts(parts: Parts): Promise<void> {
  const { stores, host, lease, sweep, promoter, models, workers, leaders, cancellations, delivery } = parts;
  const { failFastRedis } = stores;
  // A fail-fast connection rejects commands until it is ready.
  const signal = AbortSignal.timeout(FIRST_CONTACT_MS);
  if (failFastRedis.status !== 'ready') await once(failFastRedis, 'ready', { signal }).catch(() => undefined);
  void stores.migrate();
  parts.liveness.start(createLivenessHandlers(parts));
  // The first renewal of the lease publishes what the host offers.
  const offered = Promise.all([host.engine.findMachine(), host.offer.refresh()]);
  await withTimeout(offered, FIRST_CONTACT_MS, () => undefined).catch(() => undefined);
  lease.start();
  models.start();
  for (const worker of workers.ofAnyHost) worker.run();
  cancellations.start();
  leaders.observer.start();
  leaders.ledger?.start();
  sweep.start();
  promoter.start();
  delivery.start();
  host.pool.start();
  host.screens.start();
  host.calls.start();
  leaders.cleanup.start();
}

/**
 * The steps of a shutdown: stop taking jobs, close the host's screens, release the leases, so that peers take
 * over.
 */
export function drainSteps(parts: Parts): DrainStep[] {
  const {
    stores,
    host,
    lease,
    sweep,
    promoter,
    models,
    workers,
    leaders,
    cancellations,
    delivery,
    board,
    log,
  } = parts;
  return [
    {
      name: 'queues',
      withinMs: FINISH_WITHIN_MS,
      run: () =>
        Promise.all([
          host.sessions.close(),
          models.withdraw(),
          host.calls.close(),
          host.pool.close(),
          ...workers.all.map((worker) => worker.close()),
          delivery.close(),
          leaders.cleanup.close(),
          sweep.close(),
          promoter.close(),
        ]),
    },
    { name: 'models', withinMs: 3000, run: () => models.close() },
    {
      name: 'desktops',
      withinMs: 5000,
      // A last sweep records the running containers, before peers could mistake them for starts that died.
      run: () =>
        Promise.all([
          ...host.removing,
          host.pool.close(),
          sweep
            .once()
            .catch((error: unknown) => log.warn({ err: error }, 'the last sweep failed'))
            .finally(() => host.screens.close()),
        ]),
    },
    {
      name: 'leases',
      withinMs: 4000,
      run: async () => {
        await Promise.all([
          leaders.observer.close(),
          leaders.ledger?.close(),
          lease.release(),
          cancellations.close(),
        ]);
        await parts.liveness.close();
      },
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
