import { keys } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Config } from '../config.ts';
import type { Metrics } from '../metrics.ts';
import type { Stores } from '../stores.ts';
import { Leader } from './leader.ts';
import { Schedule } from './schedule.ts';
import type { FleetTasks } from './tasks.ts';

export type LeadersOptions = {
  config: Config;
  stores: Stores;
  /** Unique to this process. */
  holder: string;
  /** Whether this process may hold a lease now. */
  mayHold: () => boolean;
  tasks: FleetTasks;
  metrics: Metrics;
  log: Logger;
};

/** The leader tasks of this process: a candidate for each lease, and a worker of the queue `cleanup`. */
export type Leaders = { observer: Leader; ledger: Leader | undefined; cleanup: Schedule };

export function createLeaders(options: LeadersOptions): Leaders {
  const { config, stores, holder, mayHold, tasks, metrics, log } = options;
  const candidate = { redis: stores.failFastRedis, holder, mayHold, ttlMs: config.LEASE_MS, log };
  return {
    observer: new Leader({
      ...candidate,
      key: keys.observerLease(),
      tasks: tasks.observer,
      onChange: (held) => {
        metrics.observer.set(held ? 1 : 0);
        log.info({ leader: held }, 'lease of the observer changed');
      },
    }),
    ledger:
      tasks.ledger &&
      new Leader({
        ...candidate,
        key: keys.ledgerLease(),
        tasks: tasks.ledger,
        onChange: (held) => {
          metrics.ledgerLeader.set(held ? 1 : 0);
          log.info({ leader: held }, 'lease of the ledger changed');
        },
      }),
    cleanup: new Schedule({
      boot: holder,
      redis: stores.queueRedis,
      queue: stores.queue,
      task: tasks.cleanup,
      log,
    }),
  };
}
