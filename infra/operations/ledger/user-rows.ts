import * as schema from '@warmwind/shared/engine/ledger/schema';
import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import { and, eq, getTableColumns, inArray, is, sql } from 'drizzle-orm';
import { type PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { getTableName } from 'drizzle-orm/table';

/** Changes are found by a scan of all of them, which takes seconds in a large ledger, ms. */
const WITHIN_MS = 120_000;
/** Jobs or desktops in one transaction, and rows in one statement: short enough not to block services. */
const BATCH = 1000;

/** Every table that has rows of users. */
const OF_USERS = Object.values(schema)
  .filter((value) => is(value, PgTable))
  .flatMap((table) => {
    const { userId } = getTableColumns(table) as Record<string, PgColumn>;
    return userId ? [{ table, userId, name: getTableName(table) }] : [];
  });

const { jobs, jobChanges, containers, containerChanges } = schema;

/** The rows of one user in the ledger. */
export class UserRows {
  readonly #ledger: Ledger;
  readonly #user: string;

  constructor(ledger: Ledger, user: string) {
    this.#ledger = ledger;
    this.#user = user;
  }

  /** How many rows, by table. */
  async count(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { table, userId, name } of OF_USERS) {
      const [row] = await this.#ledger.run(
        (db) => db.select({ n: sql<number>`count(*)::int` }).from(table).where(eq(userId, this.#user)),
        WITHIN_MS,
      );
      counts[name] = row?.n ?? 0;
    }
    return counts;
  }

  /** Ids of the jobs and desktops that have not ended, as far as the ledger knows. */
  async open(): Promise<{ jobs: string[]; containers: string[] }> {
    const open = (table: typeof jobs | typeof containers, end: PgColumn) =>
      this.#ledger.run((db) =>
        db
          .select({ id: table.id })
          .from(table)
          .where(and(eq(table.userId, this.#user), sql`${end} is null`)),
      );
    const [ofJobs, ofContainers] = await Promise.all([
      open(jobs, jobs.finishedAt),
      open(containers, containers.endedAt),
    ]);
    return { jobs: ofJobs.map(({ id }) => id), containers: ofContainers.map(({ id }) => id) };
  }

  /** Deletes them all, in batches. */
  async delete(): Promise<void> {
    await this.#deleteWithChanges(jobs, jobChanges, jobChanges.jobId);
    await this.#deleteWithChanges(containers, containerChanges, containerChanges.containerId);
    for (const { table, userId } of OF_USERS) await this.#deleteAll(table, userId);
  }

  /** Changes have no index by user; their job or container finds them at once. */
  async #deleteWithChanges(
    table: typeof jobs | typeof containers,
    changes: PgTable,
    changeOf: PgColumn,
  ): Promise<void> {
    for (;;) {
      const deleted = await this.#ledger.run(
        (db) =>
          db.transaction(async (tx) => {
            const rows = await tx
              .select({ id: table.id })
              .from(table)
              .where(eq(table.userId, this.#user))
              .limit(BATCH);
            const ids = rows.map(({ id }) => id);
            if (ids.length === 0) return 0;
            await tx.delete(changes).where(inArray(changeOf, ids));
            await tx.delete(table).where(inArray(table.id, ids));
            return ids.length;
          }),
        WITHIN_MS,
      );
      if (deleted < BATCH) return;
    }
  }

  async #deleteAll(table: PgTable, userId: PgColumn): Promise<void> {
    const some = sql`ctid = any(array(select ctid from ${table} where ${eq(userId, this.#user)} limit ${BATCH}))`;
    for (;;) {
      const deleted = await this.#ledger.run(
        (db) => db.delete(table).where(some).returning({ userId }),
        WITHIN_MS,
      );
      if (deleted.length < BATCH) return;
    }
  }
}
