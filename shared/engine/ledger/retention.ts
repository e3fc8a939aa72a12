import { sql } from 'drizzle-orm';
import type { Db } from './db.ts';
import {
  containerChanges,
  containers,
  idempotencyKeys,
  jobChanges,
  jobInputs,
  jobs,
  userLimits,
  volumes,
} from './schema.ts';

/**
 * Deletes at most `limit` rows that are older than `before`, the oldest first. Locked rows are skipped until
 * the next time, so no query waits.
 * @returns how many rows were deleted
 */
export type Prune = (db: Db, before: Date, limit: number) => Promise<number>;

/** Jobs that ended, each with its history. Their usage stays in `usage_days`. */
export const pruneJobs: Prune = (db, before, limit) =>
  counted(
    db,
    sql`with doomed as materialized (
      select ${jobs.id} from ${jobs} where ${jobs.finishedAt} < ${at(before)}
      order by ${jobs.finishedAt} limit ${limit} for update skip locked
    ), history as (
      delete from ${jobChanges} where ${jobChanges.jobId} in (select id from doomed)
    ), inputs as (
      delete from ${jobInputs} where ${jobInputs.jobId} in (select id from doomed)
    )
    delete from ${jobs} where ${jobs.id} in (select id from doomed) returning 1`,
  );

/** Desktops that ended, each with its history. */
export const pruneContainers: Prune = (db, before, limit) =>
  counted(
    db,
    sql`with doomed as materialized (
      select ${containers.id} from ${containers} where ${containers.endedAt} < ${at(before)}
      order by ${containers.endedAt} limit ${limit} for update skip locked
    ), history as (
      delete from ${containerChanges} where ${containerChanges.containerId} in (select id from doomed)
    )
    delete from ${containers} where ${containers.id} in (select id from doomed) returning 1`,
  );

/** Volumes that were removed. */
export const pruneVolumes: Prune = (db, before, limit) =>
  counted(
    db,
    sql`with doomed as materialized (
      select ${volumes.id} from ${volumes} where ${volumes.removedAt} < ${at(before)}
      order by ${volumes.removedAt} limit ${limit} for update skip locked
    )
    delete from ${volumes} where ${volumes.id} in (select id from doomed) returning 1`,
  );

export const pruneIdempotencyKeys: Prune = (db, before, limit) =>
  counted(
    db,
    sql`with doomed as materialized (
      select ${idempotencyKeys.userId} as user_id, ${idempotencyKeys.keyHash} as key_hash from ${idempotencyKeys}
      where ${idempotencyKeys.createdAt} < ${at(before)}
      order by ${idempotencyKeys.createdAt} limit ${limit} for update skip locked
    )
    delete from ${idempotencyKeys}
    where (${idempotencyKeys.userId}, ${idempotencyKeys.keyHash}) in (select user_id, key_hash from doomed)
    returning 1`,
  );

/** Limits of users that were removed. */
export const pruneUserLimits: Prune = (db, before, limit) =>
  counted(
    db,
    sql`with doomed as materialized (
      select ${userLimits.userId} from ${userLimits}
      where ${userLimits.limits}::text = '{}' and ${userLimits.updatedAt} < ${at(before)}
      order by ${userLimits.userId} limit ${limit} for update skip locked
    )
    delete from ${userLimits} where ${userLimits.userId} in (select user_id from doomed) returning 1`,
  );

const at = (date: Date) => sql`${date.toISOString()}::timestamptz`;
const counted = async (db: Db, query: ReturnType<typeof sql>): Promise<number> =>
  (await db.execute(query)).length;
