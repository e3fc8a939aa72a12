import { beat } from '@warmwind/shared/engine/ledger/reads';
import { Drain } from '@warmwind/shared/engine/node/drain';
import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { CancellationFollowUp } from '../cancellation/follow-up.ts';
import type { Config } from '../config.ts';
import { LostHosts } from '../hosts/lost.ts';
import type { Presence } from '../hosts/presence.ts';
import type { Metrics } from '../metrics.ts';
import { publishPositions } from '../placement/positions.ts';
import { Reconciler } from '../reconciler/reconcile.ts';
import { createSkip } from '../skip.ts';
import type { Stores } from '../stores.ts';
import type { LeaderTask } from './leader.ts';
import { Observer } from './observer.ts';
import { renameOldKeys } from './old-keys.ts';
import { prune } from './retention.ts';
import { publishUnpublished } from './unpublished.ts';

const HOUR_MS = 3_600_000;

export type TaskContext = {
  config: Config;
  stores: Stores;
  presence: Presence;
  followUp: CancellationFollowUp;
  metrics: Metrics;
  log: Logger;
};

/**
 * The tasks by the process that runs them: the holders of two leases, and the worker that takes the job from
 * `cleanup`.
 */
export type FleetTasks = {
  /** Under `keys.observerLease()`. */
  observer: LeaderTask[];
  /** Under `keys.ledgerLease()`; `undefined` without a ledger. */
  ledger: LeaderTask[] | undefined;
  /** As a repeated job of the queue `cleanup`. */
  cleanup: LeaderTask;
};

/**
 * Returns every task that one process runs for the complete fleet, with its period. Two processes may briefly
 * run the same task without repeating an effect. Each host runs its own tasks: its lease (`hosts/`) and sweep
 * (`containers/sweep.ts`).
 */
export function fleetTasks(context: TaskContext): FleetTasks {
  const { config, stores, presence, followUp, metrics, log } = context;
  const {
    queueRedis: redis,
    failFastRedis,
    realtimeFailFast,
    records,
    reservations,
    waiting,
    queue,
    ledger,
  } = stores;
  const observer = new Observer({ redis, records, metrics, log });
  const lostHosts = new LostHosts({
    redis,
    records,
    reservations,
    presence,
    queue,
    lostAfterMs: config.LOST_AFTER_MS,
    skip: createSkip(log, 'lost-hosts', metrics),
    log,
  });
  return {
    observer: [
      { name: 'queue events', everyMs: 1000, run: (signal) => observer.watch(signal) },
      { name: 'cancellations', everyMs: 1000, run: () => followUp.followAll() },
      {
        name: 'waiting starts',
        everyMs: 1000,
        run: (signal) => publishPositions({ waiting, records }, signal),
      },
      {
        name: 'unpublished ends',
        everyMs: 1000,
        run: (signal) => publishUnpublished({ records, log }, signal),
      },
      {
        name: 'old keys',
        everyMs: HOUR_MS,
        run: (signal) => renameOldKeys([failFastRedis, realtimeFailFast], log, signal),
      },
    ],
    ledger: ledger && ledgerTasks(context, ledger),
    cleanup: { name: 'lost-hosts', everyMs: 5000, run: () => lostHosts.check() },
  };
}

function ledgerTasks({ config, stores, metrics, log }: TaskContext, ledger: Ledger): LeaderTask[] {
  const { failFastRedis: redis, records, queue } = stores;
  const drain = new Drain({
    redis,
    ledger,
    log,
    onDropped: () => metrics.changesDropped.inc(),
    skip: createSkip(log, 'drain', metrics),
  });
  const reconciler = new Reconciler({
    redis,
    ledger,
    records,
    queue,
    log,
    afterMs: config.RECONCILE_AFTER_MS,
    skip: createSkip(log, 'reconcile', metrics),
    onReconciled: (what) => metrics.reconciled.inc({ what }),
  });
  const onPruned = (what: string, rows: number) => metrics.pruned.inc({ what }, rows);
  const drained = async () => {
    const moved = await drain.once();
    metrics.changes.inc(moved);
    return moved > 0 ? 'more' : undefined;
  };
  return [
    { name: 'drain', everyMs: 50, run: drained },
    { name: 'beat', everyMs: 1000, run: () => ledger.run(beat) },
    {
      name: 'reconcile',
      everyMs: config.RECONCILE_EVERY_MS,
      run: (signal) => reconciler.reconcile({ signal }),
    },
    {
      name: 'retention',
      everyMs: HOUR_MS,
      run: (signal) => prune({ ledger, days: config.LEDGER_RETENTION_DAYS, onPruned }, signal),
    },
  ];
}
