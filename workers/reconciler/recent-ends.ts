import { endedJobs } from '@warmwind/shared/engine/ledger/reads';
import { each } from '../each.ts';
import { PAGE } from './pages.ts';
import type { ReconcileContext } from './reconcile.ts';

/** How far back a Redis that was killed or failed over may have forgotten what was to be told, ms. */
const FORGOTTEN_MS = 600_000;
const AT_ONCE = 8;

/**
 * What ended lately by the ledger is told (again): a Redis that lost its last seconds may have lost the webhook or alert of
 * a run with them. What it still knows to have been told is not sent twice.
 */
export async function republishRecentEnds({
  ledger,
  records,
  skip,
  signal,
}: ReconcileContext): Promise<void> {
  let after = { finishedAt: new Date(Date.now() - FORGOTTEN_MS), id: '' };
  while (!signal.aborted) {
    const rows = await ledger.run((db) => endedJobs(db, after, PAGE));
    await each(rows, AT_ONCE, (row) => records.jobs.publishRecordedEnds(row), skip);
    const last = rows.at(-1);
    if (rows.length < PAGE || !last?.finishedAt) return;
    after = { finishedAt: last.finishedAt, id: last.id };
  }
}
