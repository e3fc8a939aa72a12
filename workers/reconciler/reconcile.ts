import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import type { Records } from '@warmwind/shared/engine/node/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Skip } from '../skip.ts';
import { reconcileDesktops } from './desktops.ts';
import { reconcileEntries } from './entries.ts';
import { recordAll } from './full-scan.ts';
import { reconcileJobs } from './jobs.ts';
import { closeStaleRecords } from './outdated.ts';
import { republishRecentEnds } from './recent-ends.ts';

/**
 * The kinds of corrections. `reenqueued`: a run that was missing in its queue was added. `restored`: a record
 * that Redis had lost was written. `closed`: an end that one side lacked was recorded there. `recorded`: the
 * ledger received a record.
 */
type Reconciled = 'reenqueued' | 'restored' | 'closed' | 'recorded';
export type ReconciledCounts = Record<Reconciled, number>;

export type ReconcilerOptions = {
  /** The queue Redis. */
  redis: Redis;
  ledger: Ledger;
  /** The records, with the same ledger. */
  records: Records;
  /** Returns a queue by its name. */
  queue: (name: string) => Queue;
  log: Logger;
  /**
   * The least age of a record that is reconciled, ms: the changes of a younger one may still be on their way.
   */
  afterMs: number;
  onReconciled?: (what: Reconciled) => void;
  /** Receives a record that can't be read. It is left alone and the pass continues. */
  skip: Skip;
};

/** The state that the steps of one pass share. */
export type ReconcileContext = Omit<ReconcilerOptions, 'onReconciled'> & {
  /** Rows and runs that were created or finished after this are left alone, ms since 1970. */
  until: number;
  signal: AbortSignal;
  count: (what: Reconciled) => void;
};

/**
 * Reconciles queue, records and ledger. An acknowledged job is in its queue until it has ended, and both
 * sides hold every end. Each step may be repeated, or run in two processes at once.
 */
export class Reconciler {
  readonly #o: ReconcilerOptions;
  /** The `run_id` of the Redis process that was searched for lost state. */
  #seen: string | undefined;

  constructor(options: ReconcilerOptions) {
    this.#o = options;
  }

  /**
   * Makes one pass over all open jobs and desktops. Skips records that can't be read.
   * @param full also records all of Redis, for a ledger that was restored from an old backup
   * @returns the number of corrections of each kind
   * @throws when Redis or the ledger is unavailable; completed corrections remain
   */
  async reconcile({
    full = false,
    signal = new AbortController().signal,
  }: {
    full?: boolean;
    signal?: AbortSignal;
  } = {}): Promise<ReconciledCounts> {
    const counts: ReconciledCounts = { reenqueued: 0, restored: 0, closed: 0, recorded: 0 };
    const { onReconciled, ...options } = this.#o;
    const pass: ReconcileContext = {
      ...options,
      until: Date.now() - options.afterMs,
      signal,
      count: (what) => {
        counts[what] += 1;
        onReconciled?.(what);
      },
    };
    const server = /run_id:(\w+)/.exec(await pass.redis.info('server'))?.[1];
    const steps = [reconcileDesktops, reconcileJobs, reconcileEntries];
    if (full) steps.unshift(recordAll);
    if (server !== this.#seen) steps.push(closeStaleRecords, republishRecentEnds);
    for (const step of steps) {
      if (!signal.aborted) await step(pass);
    }
    if (!signal.aborted) this.#seen = server;
    return counts;
  }
}
