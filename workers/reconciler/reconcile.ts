import { reconcileContainers } from './containers.ts';
import type { ReconcileContext, ReconciledCounts, ReconcilerOptions } from './context.ts';
import { reconcileEntries } from './entries.ts';
import { recordAll } from './full-scan.ts';
import { reconcileJobs } from './jobs.ts';
import { closeStaleRecords } from './outdated.ts';
import { republishRecentEnds } from './recent-ends.ts';
import { reconcileUserLimits } from './user-limits.ts';

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
    const steps = [reconcileUserLimits, reconcileContainers, reconcileJobs, reconcileEntries];
    if (full) steps.unshift(recordAll);
    if (server !== this.#seen) steps.push(closeStaleRecords, republishRecentEnds);
    for (const step of steps) {
      if (!signal.aborted) await step(pass);
    }
    if (!signal.aborted) this.#seen = server;
    return counts;
  }
}
