import { asc, eq, gt, sql } from 'drizzle-orm';
import { UserLimits } from '../../contract/limits.ts';
import type { SetLimits } from '../user-limits.ts';
import type { Db } from './db.ts';
import { userLimits } from './schema.ts';

/** A row; a later release may have written limits that this one can't read. */
export type UserLimitsRow = typeof userLimits.$inferSelect;
/** The limits of a user that an administrator set or removed. */
export type RecordedLimits = SetLimits & { userId: string; at: number };

/** @throws ZodError for limits that this release can't read */
export const recordedLimits = ({ userId, limits, updatedAt, updatedBy }: UserLimitsRow): RecordedLimits => ({
  userId,
  limits: UserLimits.parse(limits),
  at: updatedAt.getTime(),
  by: updatedBy,
});

/**
 * Sets the limits of a user. Removed limits stay as an empty row: its time orders it among the writes to Redis.
 * @returns the limits with their time, which is later than that of every earlier write
 */
export async function writeUserLimits(
  db: Db,
  { userId, limits, by }: { userId: string; limits: UserLimits; by: string },
): Promise<RecordedLimits> {
  const now = sql`clock_timestamp()`;
  const [row] = await db
    .insert(userLimits)
    .values({ userId, limits, updatedAt: now, updatedBy: by })
    .onConflictDoUpdate({
      target: userLimits.userId,
      set: {
        limits: sql`excluded.limits`,
        updatedAt: sql`greatest(excluded.updated_at, ${userLimits.updatedAt} + interval '1 millisecond')`,
        updatedBy: sql`excluded.updated_by`,
      },
    })
    .returning();
  if (!row) throw new Error('the ledger returned no limits');
  return recordedLimits(row);
}

export async function readUserLimits(db: Db, userId: string): Promise<RecordedLimits | undefined> {
  const [row] = await db.select().from(userLimits).where(eq(userLimits.userId, userId));
  return row && recordedLimits(row);
}

/** Limits of users in the order of their ids, after the last one seen. */
export const listUserLimits = (db: Db, after: string, limit: number): Promise<UserLimitsRow[]> =>
  db
    .select()
    .from(userLimits)
    .where(gt(userLimits.userId, after))
    .orderBy(asc(userLimits.userId))
    .limit(limit);
