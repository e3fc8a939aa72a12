import { and, eq, getTableColumns, gt, type SQL, sql } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import { ENDED_RECORD_TTL_MS } from '../records.ts';
import type { Db } from './db.ts';
import type { ContainerRow, JobRow } from './rows.ts';
import { containerChanges, containers, idempotencyKeys, jobChanges, jobs } from './schema.ts';

/** What is written when something was accepted: the job, the desktop it makes, the key it was asked with. */
export type Submission = {
  job: JobRow;
  container: ContainerRow | undefined;
  idempotency: { keyHash: string; requestHash: string } | undefined;
};

/** What `(user, key)` stood for before: another job, perhaps of another request. */
export type Earlier = { jobId: string; containerId: string; requestHash: string; createdAt: Date };

/**
 * Records a submission, once however often it is said, in one statement: all of it or nothing. → what the key was used
 * for, when that was another job; nothing is written then.
 */
export async function recordSubmission(db: Db, submission: Submission): Promise<Earlier | undefined> {
  const { job, container, idempotency } = submission;
  if (!idempotency) {
    await db.execute(insertSubmission(db, job, container));
    return undefined;
  }
  const { userId } = job;
  const key = {
    userId,
    keyHash: idempotency.keyHash,
    requestHash: idempotency.requestHash,
    jobId: job.id,
    containerId: job.containerId,
    createdAt: job.createdAt,
  };
  const forgotten = forgottenAt(job.createdAt).toISOString();
  const take = db
    .insert(idempotencyKeys)
    .values(key)
    .onConflictDoUpdate({
      target: [idempotencyKeys.userId, idempotencyKeys.keyHash],
      set: key,
      setWhere: sql`${idempotencyKeys.createdAt} <= ${forgotten}::timestamptz or ${idempotencyKeys.jobId} = ${job.id}`,
    })
    .returning({ jobId: idempotencyKeys.jobId });
  const [taken] = await db.execute(insertSubmission(db, job, container, take));
  if (taken) return undefined;
  const earlier = await readKey(db, userId, idempotency.keyHash, job.createdAt);
  if (!earlier) throw new Error('the idempotency key was deleted while it was used');
  return earlier;
}

/** Records what keys were used for, where the ledger does not know. → how many were new */
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

/** What an idempotency key is used for, if it is not forgotten yet. */
export async function readKey(
  db: Db,
  userId: string,
  keyHash: string,
  now: Date,
): Promise<Earlier | undefined> {
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
 * One statement, so one trip. A row that is there already knows more than a submission and stays.
 * @param take takes the key: when it takes nothing, nothing is written. The statement answers with what it took.
 */
function insertSubmission(
  db: Db,
  job: JobRow,
  container: ContainerRow | undefined,
  take?: { getSQL: () => SQL },
): SQL {
  const { userId, createdAt: at } = job;
  const insert = <T extends PgTable>(table: T, row: T['$inferInsert']) =>
    db
      .insert(table)
      .select(rowOf(table, row, take !== undefined))
      .onConflictDoNothing()
      .getSQL();

  const start = { seq: '', userId, fence: 0, at };
  const change = { ...start, jobId: job.id, run: job.run, state: 'queued' as const, attemptsMade: 0 };
  const parts = [sql`job as (${insert(jobs, job)})`, sql`job_change as (${insert(jobChanges, change)})`];
  if (container) {
    const requested = { ...start, containerId: container.id, state: 'requested' as const, host: '' };
    parts.push(
      sql`container as (${insert(containers, container)})`,
      sql`container_change as (${insert(containerChanges, requested)})`,
    );
  }
  if (job.kind === 'container.stop') {
    // As the submit script does: what has no place yet gets none any more, also when Redis forgets the stop.
    const unplaced = and(
      eq(containers.id, job.containerId),
      eq(containers.userId, userId),
      eq(containers.state, 'requested'),
      eq(containers.host, ''),
      take && sql`exists (select from key)`,
    );
    parts.push(
      sql`stopping as (${db.update(containers).set({ state: 'stopping' }).where(unplaced).getSQL()})`,
    );
  }
  if (!take) return sql`with ${sql.join(parts, sql`, `)} select`;
  return sql`with key as (${take.getSQL()}), ${sql.join(parts, sql`, `)} select from key`;
}

/** `select` of one row's values in the order of its table's columns; of none when it is `keyed` and no key was taken. */
function rowOf<T extends PgTable>(table: T, row: T['$inferInsert'], keyed: boolean): SQL {
  const values = Object.entries(getTableColumns(table)).map(([name, column]) =>
    sql.param((row as Record<string, unknown>)[name] ?? null, column),
  );
  return sql`select ${sql.join(values, sql`, `)}${keyed ? sql` where exists (select from key)` : sql``}`;
}

const forgottenAt = (now: Date): Date => new Date(now.getTime() - ENDED_RECORD_TTL_MS);
