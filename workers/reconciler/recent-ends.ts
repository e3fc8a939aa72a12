import { endedJobs } from '@warmwind/shared/engine/ledger/reads';
import { each } from '../each.ts';
import type { ReconcileContext } from './context.ts';
import { PAGE } from './pages.ts';

/** The age up to which a killed or failed-over Redis may have lost unpublished ends, ms. */
const FORGOTTEN_MS = 600_000;
const AT_ONCE = 8;

/**
 * Publishes the recent ends of the ledger again: a Redis that lost its last seconds may have lost the webhook
 * or alert of a run. An end that Redis holds as published is not sent twice.
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
