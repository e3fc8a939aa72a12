import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Prune,
  pruneContainers,
  pruneIdempotencyKeys,
  pruneJobs,
  pruneUserLimits,
  pruneVolumes,
} from '@warmwind/shared/engine/ledger/retention';
import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/engine/records';

const DAY_MS = 86_400_000;
const BATCH = 1000;
/** The pause between two batches, ms, for other statements. */
const PAUSE_MS = 200;
/** A key stays this much longer than promised, ms, so that a caller that has just read it still finds it. */
const KEY_GRACE_MS = 3_600_000;

type Pruned = 'jobs' | 'containers' | 'volumes' | 'user_limits' | 'idempotency_keys';

export type RetentionOptions = {
  ledger: Ledger;
  /** The days for which an ended job or desktop stays in the ledger. */
  days: number;
  onPruned?: (what: Pruned, rows: number) => void;
  /** Rows per statement. */
  batch?: number;
};

/**
 * Deletes old rows of the ledger in small batches.
 * @throws LedgerUnavailableError; a later call continues
 */
export async function prune(
  { ledger, days, onPruned, batch = BATCH }: RetentionOptions,
  signal: AbortSignal,
) {
  const now = Date.now();
  const ended = new Date(now - days * DAY_MS);
  const kinds: [Pruned, Prune, Date][] = [
    ['jobs', pruneJobs, ended],
    ['containers', pruneContainers, ended],
    ['volumes', pruneVolumes, ended],
    ['user_limits', pruneUserLimits, ended],
    ['idempotency_keys', pruneIdempotencyKeys, new Date(now - ENDED_RECORD_TTL_MS - KEY_GRACE_MS)],
  ];
  for (const [what, pruneSome, before] of kinds) {
    while (!signal.aborted) {
      const rows = await ledger.run((db) => pruneSome(db, before, batch));
      if (rows > 0) onPruned?.(what, rows);
      if (rows < batch) break;
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
