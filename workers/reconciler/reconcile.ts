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
 * What was put right: a run that its queue had lost was added again, a record that Redis had lost came back, an end that
 * one side had missed was told to it, something the ledger did not know was recorded.
 */
type Reconciled = 'reenqueued' | 'restored' | 'closed' | 'recorded';
export type ReconciledCounts = Record<Reconciled, number>;

export type ReconcilerOptions = {
  /** The queue Redis. */
  redis: Redis;
  ledger: Ledger;
  /** With the same ledger. */
  records: Records;
  /** A queue by its name. */
  queue: (name: string) => Queue;
  log: Logger;
  /** What is younger than this is still on its way and left alone, ms. */
  afterMs: number;
  onReconciled?: (what: Reconciled) => void;
  /** Takes what can't be read: it is left alone and the pass goes on. */
  skip: Skip;
};

/** One pass: what its parts share. */
export type ReconcileContext = Omit<ReconcilerOptions, 'onReconciled'> & {
  /** What was created, or finished in its queue, after this is left alone, ms. */
  until: number;
  signal: AbortSignal;
  count: (what: Reconciled) => void;
};

/**
 * Makes queue, records and ledger agree: what was acknowledged is in its queue until it has ended, and every end is known
 * on both sides. Each step may be repeated or done by two processes at once.
 */
export class Reconciler {
  readonly #o: ReconcilerOptions;
  /** The Redis process that was looked through for what it has forgotten. */
  #seen: string | undefined;

  constructor(options: ReconcilerOptions) {
    this.#o = options;
  }

  /**
   * One pass over all that is open; a record that can't be read is skipped. Rejects when Redis or the ledger does not answer: what was done stays done.
   * @param full also records all that Redis knows, for a ledger that came back from an old backup
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
