import { containersById, jobsById } from '@warmwind/shared/engine/ledger/reads';
import { containerRow, type JobRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { each } from '../each.ts';
import { closeContainer } from './containers.ts';
import type { ReconcileContext } from './context.ts';
import { endOf } from './entries.ts';
import { byId, idsOf } from './newer.ts';
import { allRecords, readable } from './pages.ts';

/**
 * Closes all records that Redis holds open and that have ended in the ledger. A Redis that lost its last
 * seconds has such records, and no index leads to them.
 */
export async function closeStaleRecords(context: ReconcileContext): Promise<void> {
  const { ledger, records, skip, count } = context;
  for await (const found of allRecords(context, 'job')) {
    const open = readable(context, found, ({ user, record }) => jobRow(user, record)).filter(
      (job) => !job.finishedAt,
    );
    if (open.length === 0) continue;
    const rows = byId(await ledger.run((db) => jobsById(db, idsOf(open))));
    const close = async ({ id, run, userId, kind, containerId }: JobRow) => {
      const row = rows.get(id);
      const end = row?.run === run ? endOf(row) : undefined;
      const ref = { userId, jobId: id, run, kind, containerId };
      if (end && (await records.jobs.end(ref, end)) === 'ok') count('closed');
    };
    await each(open, 1, close, skip);
  }
  for await (const found of allRecords(context, 'container')) {
    const open = readable(context, found, ({ user, record }) => containerRow(user, record)).filter(
      (one) => !one.endedAt,
    );
    if (open.length === 0) continue;
    const rows = await ledger.run((db) => containersById(db, idsOf(open)));
    const ended = rows.filter((row) => row.endedAt);
    await each(ended, 1, (row) => closeContainer(context, row), skip);
  }
}
