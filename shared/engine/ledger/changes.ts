import { inArray, type SQL, sql } from 'drizzle-orm';
import type { Db } from './db.ts';
import type { ContainerRow, JobRow } from './rows.ts';
import { containerChanges, containers, jobChanges, jobs } from './schema.ts';
import { addUsage } from './usage.ts';

/**
 * A job or a desktop as it was right after a change; `seq` is unique to the change, `at` when it was made.
 */
export type JobChange = { seq: string; at: Date; job: JobRow };
export type ContainerChange = { seq: string; at: Date; container: ContainerRow };

/**
 * Records changes, given in the order in which they were made, in one transaction: the latest state, the
 * history, and the usage of what has ended. Each change counts once however often it is recorded. The first
 * end of a run stands, also when a later run of its job is known already: then it is in the history only.
 * Missing rows are inserted.
 * @returns the ends that were not accepted, because an earlier one stands or because they were recorded
 *   before
 */
export async function recordChanges(
  db: Db,
  { jobs: ofJobs, containers: ofContainers }: { jobs: JobChange[]; containers: ContainerChange[] },
): Promise<{ jobs: JobRow[]; containers: ContainerRow[] }> {
  return db.transaction(async (tx) => {
    const endedJobs = new Set<JobChange>();
    for (const wave of waves(ofJobs, ({ job }) => job)) {
      const accepted = await upsertJobs(
        tx,
        wave.map(({ job }) => job),
      );
      for (const change of wave) {
        if (change.job.finishedAt && accepted.has(change.job.id)) endedJobs.add(change);
      }
    }
    const endedContainers = new Set<ContainerChange>();
    for (const wave of waves(ofContainers, ({ container }) => container)) {
      const accepted = await upsertContainers(
        tx,
        wave.map(({ container }) => container),
      );
      for (const change of wave) {
        if (change.container.endedAt && accepted.has(change.container.id)) endedContainers.add(change);
      }
    }
    // After all rows are locked, like the rest of the history: so no two writers can deadlock.
    const refusedJobs = ofJobs.filter((change) => change.job.finishedAt && !endedJobs.has(change));
    for (const change of await writePreviousEnds(tx, refusedJobs)) endedJobs.add(change);
    const reportedJobs = ofJobs.filter((change) => !change.job.finishedAt || endedJobs.has(change));
    const reportedContainers = ofContainers.filter(
      (change) => !change.container.endedAt || endedContainers.has(change),
    );
    await writeHistory(tx, reportedJobs, reportedContainers);
    await addUsage(
      tx,
      [...endedJobs].map(({ job }) => job),
      [...endedContainers].map(({ container }) => container),
    );
    return {
      jobs: ofJobs.flatMap((change) => (change.job.finishedAt && !endedJobs.has(change) ? change.job : [])),
      containers: ofContainers.flatMap((change) =>
        change.container.endedAt && !endedContainers.has(change) ? change.container : [],
      ),
    };
  });
}

/** @returns ids of the rows that accepted the change */
async function upsertJobs(db: Db, rows: JobRow[]): Promise<Set<string>> {
  const changed = await db
    .insert(jobs)
    .values(rows)
    .onConflictDoUpdate({
      target: jobs.id,
      set: {
        state: sql`excluded.state`,
        run: sql`excluded.run`,
        fence: sql`greatest(excluded.fence, ${jobs.fence})`,
        attemptsMade: sql`excluded.attempts_made`,
        queue: sql`excluded.queue`,
        priority: sql`excluded.priority`,
        containerId: sql`excluded.container_id`,
        requestId: sql`excluded.request_id`,
        result: sql`excluded.result`,
        error: sql`excluded.error`,
        startedAt: sql`excluded.started_at`,
        finishedAt: sql`excluded.finished_at`,
      },
      setWhere: sql`excluded.run > ${jobs.run} or (excluded.run = ${jobs.run} and ${jobs.finishedAt} is null
        and (excluded.finished_at is not null or excluded.fence >= ${jobs.fence}))`,
    })
    .returning({ id: jobs.id });
  return new Set(changed.map(({ id }) => id));
}

/**
 * A desktop that ran and ended no longer needs its spec; one that never ran may be requested again by a
 * retry.
 */
const keepsSpec = (endedAt: SQL, startedAt: SQL): SQL => sql`(${endedAt} is null or ${startedAt} is null)`;

/**
 * Changes do not carry the spec.
 * @returns ids of the rows that accepted the change
 */
async function upsertContainers(db: Db, rows: ContainerRow[]): Promise<Set<string>> {
  const changed = await db
    .insert(containers)
    .values(rows.map((row) => (row.endedAt && row.startedAt ? { ...row, spec: {} } : row)))
    .onConflictDoUpdate({
      target: containers.id,
      set: {
        state: sql`excluded.state`,
        host: sql`excluded.host`,
        boot: sql`excluded.boot`,
        fence: sql`excluded.fence`,
        instanceId: sql`excluded.instance_id`,
        error: sql`excluded.error`,
        startedAt: sql`excluded.started_at`,
        expiresAt: sql`excluded.expires_at`,
        endedAt: sql`excluded.ended_at`,
        endReason: sql`excluded.end_reason`,
        warm: sql`excluded.warm`,
        usedAt: sql`excluded.used_at`,
        pausedBy: sql`excluded.paused_by`,
        exit: sql`excluded.exit`,
        spec: sql`case when ${keepsSpec(sql`excluded.ended_at`, sql`excluded.started_at`)} then ${containers.spec} else '{}' end`,
      },
      setWhere: sql`${containers.endedAt} is null and excluded.fence >= ${containers.fence}`,
    })
    .returning({ id: containers.id });
  return new Set(changed.map(({ id }) => id));
}

/**
 * Records in the history the ends that their rows refused because they hold a later run by now.
 * @returns those that the history had no end for
 */
async function writePreviousEnds(db: Db, refused: JobChange[]): Promise<JobChange[]> {
  if (refused.length === 0) return [];
  const ids = [...new Set(refused.map(({ job }) => job.id))];
  const rows = await db.select({ id: jobs.id, run: jobs.run }).from(jobs).where(inArray(jobs.id, ids));
  const runs = new Map(rows.map(({ id, run }) => [id, run]));
  const earlier = refused.filter(({ job }) => job.run < (runs.get(job.id) ?? 0));
  if (earlier.length === 0) return [];
  const written = await db
    .insert(jobChanges)
    .values(earlier.map(jobChangeRow))
    .onConflictDoNothing()
    .returning({ jobId: jobChanges.jobId, run: jobChanges.run, seq: jobChanges.seq });
  return earlier.filter(({ seq, job }) =>
    written.some((row) => row.jobId === job.id && row.run === job.run && row.seq === seq),
  );
}

const jobChangeRow = ({ seq, at, job }: JobChange) => {
  const { id: jobId, run, userId, state, fence, attemptsMade } = job;
  return { jobId, run, seq, userId, state, fence, attemptsMade, at };
};

async function writeHistory(db: Db, ofJobs: JobChange[], ofContainers: ContainerChange[]): Promise<void> {
  if (ofJobs.length > 0) {
    await db.insert(jobChanges).values(ofJobs.map(jobChangeRow)).onConflictDoNothing();
  }
  if (ofContainers.length > 0) {
    const rows = ofContainers.map(({ seq, at, container }) => {
      const { id: containerId, userId, state, host, fence } = container;
      return { containerId, seq, userId, state, host, fence, at };
    });
    await db.insert(containerChanges).values(rows).onConflictDoNothing();
  }
}

/**
 * Splits changes into waves with at most one change of a row in each, as one statement can change a row once.
 * Only the last change and the ends of a row matter. Rows are locked in the order of their ids, so that two
 * writers never deadlock.
 */
function waves<C>(
  changes: C[],
  subject: (change: C) => { id: string; finishedAt?: Date | null; endedAt?: Date | null },
): C[][] {
  const byId = new Map<string, C[]>();
  for (const change of changes) {
    const { id } = subject(change);
    const known = byId.get(id) ?? [];
    const last = known.at(-1);
    if (last !== undefined && !subject(last).finishedAt && !subject(last).endedAt) known.pop();
    known.push(change);
    byId.set(id, known);
  }
  const sorted = [...byId].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, list]) => list);
  const depth = Math.max(0, ...sorted.map((list) => list.length));
  return Array.from({ length: depth }, (_, wave) => sorted.flatMap((list) => list[wave] ?? []));
}
