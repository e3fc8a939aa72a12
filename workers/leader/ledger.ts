import { keys } from '@warmwind/shared/keys';
import { beat } from '@warmwind/shared/ledger/reads';
import { Drain } from '@warmwind/shared/node/drain';
import type { Ledger } from '@warmwind/shared/node/ledger';
import type { Logger } from '@warmwind/shared/node/log';
import type { Records } from '@warmwind/shared/node/records';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { loop } from '../loop.ts';
import type { Metrics } from '../metrics.ts';
import { Reconciler } from '../reconciler/reconcile.ts';
import { createSkip } from '../skip.ts';
import { Leader } from './leader.ts';
import { prune } from './retention.ts';

/** How long the drain rests when there is nothing to move, ms. */
const DRAIN_IDLE_MS = 50;
const BEAT_EVERY_MS = 1000;
const PRUNE_EVERY_MS = 3_600_000;

export type LedgerLeaderOptions = {
  /** A prompt connection to the queue Redis. */
  redis: Redis;
  ledger: Ledger;
  records: Records;
  queue: (name: string) => Queue;
  metrics: Metrics;
  log: Logger;
  /** Unique to this process. */
  holder: string;
  leaseMs: number;
  reconcileEveryMs: number;
  reconcileAfterMs: number;
  retentionDays: number;
};

/**
 * One process of the fleet keeps the ledger: it moves changes into it, makes queue, records and ledger agree, says that
 * the primary lives, and prunes. Should two do so for a moment, nothing happens twice.
 */
export function createLedgerLeader(options: LedgerLeaderOptions): Leader {
  const { redis, ledger, metrics, log } = options;
  const drain = new Drain({
    redis,
    ledger,
    log,
    onDropped: () => metrics.changesDropped.inc(),
    skip: createSkip(log, 'drain', metrics),
  });
  const reconciler = new Reconciler({
    ...options,
    afterMs: options.reconcileAfterMs,
    skip: createSkip(log, 'reconcile', metrics),
    onReconciled: (what) => metrics.reconciled.inc({ what }),
  });
  const onPruned = (what: string, rows: number) => metrics.pruned.inc({ what }, rows);

  const drained = async () => {
    const moved = await drain.once();
    metrics.changes.inc(moved);
    return moved > 0 ? 0 : DRAIN_IDLE_MS;
  };
  const beaten = async () => {
    await ledger.run(beat);
    return BEAT_EVERY_MS;
  };
  const reconciled = async (signal: AbortSignal) => {
    await reconciler.reconcile({ signal });
    return options.reconcileEveryMs;
  };
  const pruned = async (signal: AbortSignal) => {
    await prune({ ledger, days: options.retentionDays, onPruned }, signal);
    return PRUNE_EVERY_MS;
  };

  return new Leader({
    redis,
    key: keys.ledgerLease(),
    holder: options.holder,
    ttlMs: options.leaseMs,
    log,
    onChange: (held) => {
      metrics.ledgerLeader.set(held ? 1 : 0);
      log.info({ leader: held }, 'ledger');
    },
    lead: async (signal) => {
      await Promise.all([
        loop('drain', log, signal, drained),
        loop('beat', log, signal, beaten),
        loop('reconcile', log, signal, () => reconciled(signal)),
        loop('retention', log, signal, () => pruned(signal)),
      ]);
    },
  });
}
