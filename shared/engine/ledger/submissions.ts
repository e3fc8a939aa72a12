import { and, eq, getTableColumns, gt, type SQL, sql } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import { jobCommand } from '../../contract/registry.ts';
import { ENDED_RECORD_TTL_MS } from '../records.ts';
import type { Db } from './db.ts';
import type { ContainerRow, JobRow } from './rows.ts';
import { containerChanges, containers, idempotencyKeys, jobChanges, jobInputs, jobs } from './schema.ts';

/**
 * The rows of an accepted submission: the run, the desktops that it creates, its input, and its idempotency
 * key. A retry has the time at which it was made and the `seq`s of its changes, '' for those that are
 * recorded elsewhere.
 */
export type Submission = {
  job: JobRow;
  /** Those that it creates. */
  containers: ContainerRow[];
  input?: string | undefined;
  retry?: { at: Date; seqs: { job: string; containers: string[] } } | undefined;
  idempotency: { keyHash: string; requestHash: string } | undefined;
};

/** The earlier use of `(user, key)`: another job, perhaps of another request. */
export type RecordedKey = { jobId: string; containerId: string; requestHash: string; createdAt: Date };

/**
 * Records a submission, once however often it is sent, in one statement: all of it or nothing.
 * @returns the use of the key for another job, if there was one; then nothing is written
 */
export async function recordSubmission(db: Db, submission: Submission): Promise<RecordedKey | undefined> {
  const { job, idempotency } = submission;
  if (!idempotency) {
    await db.execute(insertSubmission(db, submission));
    return undefined;
  }
  const { userId } = job;
  const at = submission.retry?.at ?? job.createdAt;
  const key = {
    userId,
    keyHash: idempotency.keyHash,
    requestHash: idempotency.requestHash,
    jobId: job.id,
    containerId: job.containerId,
    createdAt: at,
  };
  const forgotten = forgottenAt(at).toISOString();
  const take = db
    .insert(idempotencyKeys)
    .values(key)
    .onConflictDoUpdate({
      target: [idempotencyKeys.userId, idempotencyKeys.keyHash],
      set: key,
      setWhere: sql`${idempotencyKeys.createdAt} <= ${forgotten}::timestamptz or ${idempotencyKeys.jobId} = ${job.id}`,
    })
    .returning({ jobId: idempotencyKeys.jobId });
  const [taken] = await db.execute(insertSubmission(db, submission, take));
  if (taken) return undefined;
  const earlier = await readKey(db, userId, idempotency.keyHash, at);
  if (!earlier) throw new Error('the idempotency key was deleted while it was used');
  return earlier;
}

/**
 * Records the uses of keys that the ledger does not know.
 * @returns how many were new
 */
export async function recordIdempotencyKeys(
  db: Db,
  keys: (typeof idempotencyKeys.$inferInsert)[],
): Promise<number> {
  const recorded = await db
    .insert(idempotencyKeys)
    .values(keys)
    .onConflictDoNothing()
    .returning({ keyHash: idempotencyKeys.keyHash });
  return recorded.length;
}

/** The use of an idempotency key, unless it has expired. */
export async function readKey(
  db: Db,
  userId: string,
  keyHash: string,
  now: Date,
): Promise<RecordedKey | undefined> {
  const [earlier] = await db
    .select()
    .from(idempotencyKeys)
    .where(
      and(
        eq(idempotencyKeys.userId, userId),
        eq(idempotencyKeys.keyHash, keyHash),
        gt(idempotencyKeys.createdAt, forgottenAt(now)),
      ),
    );
  return earlier;
}

/**
 * Builds one statement, so one trip. An existing row is newer than a submission and stays, unless it is of an
 * earlier run.
 * @param take takes the key: when it takes nothing, nothing is written. The statement returns the key that
 *   was taken.
 */
function insertSubmission(
  db: Db,
  { job, containers: made, input, retry }: Submission,
  take?: { getSQL: () => SQL },
): SQL {
  const { userId } = job;
  const at = retry?.at ?? job.createdAt;
  const inserting = <T extends PgTable>(table: T, row: T['$inferInsert'], after?: string) =>
    db.insert(table).select(rowOf(table, row, take !== undefined, after));
  const insert = <T extends PgTable>(table: T, row: T['$inferInsert'], after: string) =>
    inserting(table, row, after).onConflictDoNothing().returning({ one: sql`1` }).getSQL();

  const start = { userId, fence: job.fence, at };
  const change = {
    ...start,
    seq: retry?.seqs.job ?? '',
    jobId: job.id,
    run: job.run,
    state: 'queued' as const,
    attemptsMade: 0,
  };
  const run = inserting(jobs, job)
    .onConflictDoUpdate({ target: jobs.id, set: NEW_RUN, setWhere: sql`excluded.run > ${jobs.run}` })
    .returning({ one: sql`1` })
    .getSQL();
  const parts = [sql`job as (${run})`];
  // PostgreSQL runs parts without references in any order. Rows are locked in the order of `recordChanges`:
  // the job, the desktop, then their history.
  const names = made.map((_, i) => `container_${i}`);
  const rows = names.at(-1) ?? 'job';
  made.forEach((container, i) => {
    const after = names[i - 1] ?? 'job';
    parts.push(sql`${sql.identifier(names[i] ?? '')} as (${insert(containers, container, after)})`);
  });
  if (retry?.seqs.job !== '') parts.push(sql`job_change as (${insert(jobChanges, change, rows)})`);
  if (input !== undefined) {
    parts.push(sql`input as (${insert(jobInputs, { jobId: job.id, userId, input }, rows)})`);
  }
  made.forEach((container, i) => {
    const seq = retry?.seqs.containers[i] ?? '';
    if (retry && seq === '') return;
    const requested = {
      userId,
      fence: 0,
      at: container.createdAt,
      seq,
      containerId: container.id,
      state: 'requested' as const,
      host: '',
    };
    const name = sql.identifier(`${names[i]}_change`);
    parts.push(sql`${name} as (${insert(containerChanges, requested, rows)})`);
  });
  const { enters } = jobCommand(job.kind);
  if (enters) {
    // Like the submit script: a desktop without a host is never placed, even if Redis loses the command.
    const unplaced = and(
      eq(containers.id, job.containerId),
      eq(containers.userId, userId),
      eq(containers.state, 'requested'),
      eq(containers.host, ''),
      take && sql`exists (select from key)`,
      done('job'),
    );
    parts.push(sql`entering as (${db.update(containers).set({ state: enters }).where(unplaced).getSQL()})`);
  }
  if (!take) return sql`with ${sql.join(parts, sql`, `)} select`;
  return sql`with key as (${take.getSQL()}), ${sql.join(parts, sql`, `)} select from key`;
}

/** The columns of a job's row that a new run sets. */
const NEW_RUN = {
  state: sql`excluded.state`,
  run: sql`excluded.run`,
  fence: sql`excluded.fence`,
  attemptsMade: sql`excluded.attempts_made`,
  queue: sql`excluded.queue`,
  priority: sql`excluded.priority`,
  containerId: sql`excluded.container_id`,
  requestId: sql`excluded.request_id`,
  result: sql`null`,
  error: sql`null`,
  startedAt: sql`null`,
  finishedAt: sql`null`,
};

/** True, once the part of this name is done. */
const done = (part: string): SQL => sql`(select count(*) from ${sql.identifier(part)}) >= 0`;

/**
 * `select` of one row's values in the order of its table's columns; of none when it is `keyed` and no key was
 * taken.
 * @param after the part that must be done first
 */
function rowOf<T extends PgTable>(
  table: T,
  row: T['$inferInsert'],
  keyed: boolean,
  after: string | undefined,
): SQL {
  const values = Object.entries(getTableColumns(table)).map(([name, column]) =>
    sql.param((row as Record<string, unknown>)[name] ?? null, column),
  );
  const conditions = [keyed ? sql`exists (select from key)` : sql`true`, after ? done(after) : sql`true`];
  return sql`select ${sql.join(values, sql`, `)} where ${sql.join(conditions, sql` and `)}`;
}

const forgottenAt = (now: Date): Date => new Date(now.getTime() - ENDED_RECORD_TTL_MS);
