import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Prune,
  pruneContainers,
  pruneIdempotencyKeys,
  pruneJobs,
  pruneVolumes,
} from '@warmwind/shared/engine/ledger/retention';
import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/engine/records';

const DAY_MS = 86_400_000;
const BATCH = 1000;
/** Between two batches others come first, ms. */
const PAUSE_MS = 200;
/** A key is remembered this much longer than promised, so that who just read it as known still finds it. */
const KEY_GRACE_MS = 3_600_000;

type Pruned = 'jobs' | 'containers' | 'volumes' | 'idempotency_keys';

export type RetentionOptions = {
  ledger: Ledger;
  /** How long after its end a job or desktop is known. */
  days: number;
  onPruned?: (what: Pruned, rows: number) => void;
  /** Rows deleted in one go. */
  batch?: number;
};

/** Forgets what is over for long, a little at a time. Rejects when the ledger is away: go on another time. */
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
