import { containersById, jobsById } from '@warmwind/shared/ledger/reads';
import { containerRow, jobRow } from '@warmwind/shared/ledger/rows';
import { byId, idsOf } from './ahead.ts';
import { closeDesktop } from './desktops.ts';
import { endOf } from './entries.ts';
import { allRecords } from './pages.ts';
import type { Pass } from './reconcile.ts';

/**
 * What Redis holds open and the ledger knows to have ended, wherever it is: a Redis that lost its last seconds has such
 * records, and nothing else leads to them.
 */
export async function closeStale(pass: Pass): Promise<void> {
  const { ledger, records, count } = pass;
  for await (const found of allRecords(pass, 'job')) {
    const open = found.map(({ user, record }) => jobRow(user, record)).filter((job) => !job.finishedAt);
    if (open.length === 0) continue;
    const rows = byId(await ledger.run((db) => jobsById(db, idsOf(open))));
    for (const { id, run, userId, kind, containerId } of open) {
      const row = rows.get(id);
      const end = row?.run === run ? endOf(row) : undefined;
      const ref = { userId, jobId: id, run, kind, containerId };
      if (end && (await records.jobs.end(ref, end)) === 'ok') count('closed');
    }
  }
  for await (const found of allRecords(pass, 'container')) {
    const open = found.map(({ user, record }) => containerRow(user, record)).filter((one) => !one.endedAt);
    if (open.length === 0) continue;
    const rows = await ledger.run((db) => containersById(db, idsOf(open)));
    for (const row of rows) if (row.endedAt) await closeDesktop(pass, row);
  }
}
