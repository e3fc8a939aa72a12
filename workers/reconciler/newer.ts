import type { ContainerState } from '@warmwind/shared/contract/containers';
import { keys } from '@warmwind/shared/engine/keys';
import { recordChanges } from '@warmwind/shared/engine/ledger/changes';
import { containersById, jobsById } from '@warmwind/shared/engine/ledger/reads';
import type { ContainerRow, JobRow } from '@warmwind/shared/engine/ledger/rows';
import { LedgerRefusalError } from '@warmwind/shared/engine/node/ledger';
import type { ReconcileContext } from './context.ts';
import { answersApart } from './pages.ts';

/** Records of Redis in the form of ledger rows. */
export type RecordRows = { jobs: JobRow[]; containers: ContainerRow[] };

/** Whether the record of a job is newer than its row. */
export function isNewerJob(record: JobRow, row: JobRow | undefined): boolean {
  if (!row || record.run !== row.run) return !row || record.run > row.run;
  if (row.finishedAt) return false;
  if (record.finishedAt) return true;
  return record.fence > row.fence || (record.fence === row.fence && record.state !== row.state);
}

/** The order of a desktop's states under one placement. */
const RANK: Record<ContainerState, number> = {
  starting: 0,
  requested: 1,
  running: 1,
  paused: 1,
  stopping: 2,
  stopped: 3,
  failed: 3,
  lost: 3,
};

/** Whether the record of a desktop is newer than its row. */
export function isNewerContainer(record: ContainerRow, row: ContainerRow | undefined): boolean {
  if (!row) return true;
  if (row.endedAt || record.fence !== row.fence) return !row.endedAt && record.fence > row.fence;
  if (record.state === row.state) return expiresLater(record, row);
  return RANK[record.state] >= RANK[row.state];
}

/** Whether a container's time to live ends later by one record than by another, under the same placement. */
export const expiresLater = (one: ContainerRow, other: ContainerRow): boolean =>
  one.fence === other.fence && (one.expiresAt?.getTime() ?? 0) > (other.expiresAt?.getTime() ?? 0);

/**
 * Records states whose changes never reached the ledger. A row whose user's changes still wait is left to the
 * drain, which records its complete history.
 */
export async function recordNewer(context: ReconcileContext, records: RecordRows): Promise<void> {
  const { redis, ledger } = context;
  const users = [...new Set([...records.jobs, ...records.containers].map(({ userId }) => userId))];
  if (users.length === 0) return;
  const lengths = redis.pipeline();
  for (const user of users) lengths.xlen(keys.changes(user));
  const waiting = await answersApart<number>(context, users.map(keys.changes), lengths.exec());
  const undrained = new Set(users.filter((_, i) => (waiting[i] ?? 0) > 0));
  // The entry that directs the drain to them may be lost.
  for (const user of undrained) await redis.zincrby(keys.changedUsers(), 1, user);
  // A change leaves Redis after the ledger has it: only rows that are read now show whether it is lost.
  const jobs = byId(await ledger.run((db) => jobsById(db, idsOf(records.jobs))));
  const containers = byId(await ledger.run((db) => containersById(db, idsOf(records.containers))));
  await record(context, {
    jobs: records.jobs.filter((job) => {
      const row = jobs.get(job.id);
      return isNewerJob(job, row) && !(row && undrained.has(job.userId));
    }),
    containers: records.containers.filter((desktop) => {
      const row = containers.get(desktop.id);
      return isNewerContainer(desktop, row) && !(row && undrained.has(desktop.userId));
    }),
  });
}

export const byId = <R extends { id: string }>(rows: R[]): Map<string, R> =>
  new Map(rows.map((row) => [row.id, row]));
export const idsOf = (rows: { id: string }[]): string[] => rows.map(({ id }) => id);

async function record(context: ReconcileContext, { jobs, containers }: RecordRows): Promise<void> {
  const { ledger, log } = context;
  if (jobs.length + containers.length === 0) return;
  try {
    await ledger.run((db) =>
      recordChanges(db, {
        jobs: jobs.map((job) => ({ seq: seqOf(job), at: job.finishedAt ?? new Date(), job })),
        containers: containers.map((container) => ({
          seq: seqOf(container),
          at: container.endedAt ?? new Date(),
          container,
        })),
      }),
    );
  } catch (error) {
    if (!(error instanceof LedgerRefusalError)) throw error;
    if (jobs.length + containers.length === 1) {
      log.error({ err: error, id: jobs[0]?.id ?? containers[0]?.id }, 'the ledger refuses a record: skipped');
      return;
    }
    // One record is at fault: the others are recorded without it.
    for (const job of jobs) await record(context, { jobs: [job], containers: [] });
    for (const container of containers) await record(context, { jobs: [], containers: [container] });
    return;
  }
  for (const { finishedAt } of jobs) context.count(finishedAt ? 'closed' : 'recorded');
  for (const { endedAt } of containers) context.count(endedAt ? 'closed' : 'recorded');
}

/** The sequence of a found state: always the same for the same state, and empty for that of a submission. */
const seqOf = ({ state, fence }: { state: string; fence: number }): string =>
  fence === 0 && (state === 'queued' || state === 'requested') ? '' : `found-${fence}-${state}`;
