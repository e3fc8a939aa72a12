import { recordChanges } from '@warmwind/shared/engine/ledger/changes';
import type { Db } from '@warmwind/shared/engine/ledger/db';
import { readJob } from '@warmwind/shared/engine/ledger/reads';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import type { ChangedRecords } from '@warmwind/shared/engine/records';
import { timeOfSeq } from '../ledger/seq.ts';

/**
 * Records a cancelled run in the ledger.
 * @returns the state of the job in the ledger: another end may have come first
 */
export async function recordCancellation(
  db: Db,
  userId: string,
  { job, containers = [] }: ChangedRecords,
): Promise<string> {
  const row = jobRow(userId, job.record);
  const { jobs: outdated } = await recordChanges(db, {
    jobs: [{ seq: job.seq, at: timeOfSeq(job.seq), job: row }],
    containers: containers.map(({ seq, record }) => ({
      seq,
      at: timeOfSeq(seq),
      container: containerRow(userId, record),
    })),
  });
  if (outdated.length === 0) return row.state;
  return (await readJob(db, userId, row.id))?.state ?? row.state;
}
