/** `npm run ledger:restore -- <file>`: see docs/operations/backup.md. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type postgres from 'postgres';
import { z } from 'zod';
import { Archive, type Footer, type Header } from './archive.ts';
import { CommandRefusedError, run, table } from './command.ts';
import { inTransaction, withConnection } from './connection.ts';
import { migrateLedger } from './migrate.ts';
import { isPgDump, pgRestore } from './pg-restore.ts';
import { findServers } from './servers.ts';

export const MIGRATIONS = fileURLToPath(new URL('../../../shared/engine/ledger/migrations', import.meta.url));
/** Rows are sent in pieces of about this size, bytes. */
const PIECE = 64 * 1024;
const MIGRATED_WITHIN_MS = 60_000;
const REMEDY = 'Create an empty database, set LEDGER_URL to it, and restore into that.';
const IN_FAILED_TRANSACTION = '25P02';

/**
 * Restores a dump into an empty ledger: all of it or nothing. An older dump is loaded into the schema of its
 * time, which is migrated afterwards.
 *
 * @param migrations the folder of this version's migrations
 * @returns the number of rows of each table
 */
export async function restoreLedger(
  url: string,
  file: string,
  migrations = MIGRATIONS,
): Promise<Footer['rows']> {
  const archive = await Archive.open(file);
  try {
    await migrateTo(url, archive.header.migrations, migrations);
    const rows = await inTransaction(url, 'restore', 'read write', async (tx, moved) => {
      await takeEmpty(tx, archive.header);
      for (const { name, columns } of archive.header.tables) {
        await copyIn(tx, name, columns, archive.rows(name), moved);
      }
      return archive.end();
    });
    await migrate(url, migrations);
    return rows;
  } finally {
    await archive.close();
  }
}

/** Restores a file of `pg_dump`, and brings an older dump's schema up to date. */
export async function restorePgDump(url: string, file: string, migrations = MIGRATIONS): Promise<void> {
  await pgRestore(url, file, migrations);
  await migrate(url, migrations);
}

/** Locks all tables to the end of the transaction: services that write wait, or count the ledger as away. */
async function takeEmpty(tx: postgres.TransactionSql, { tables }: Header): Promise<void> {
  await tx`set local lock_timeout = '10s'`;
  const found = await tx`select table_name as name from information_schema.tables
    where table_schema = current_schema() and table_type = 'BASE TABLE'`;
  const known = new Set(found.map(({ name }) => String(name)));
  for (const { name } of tables) {
    if (!known.has(name))
      throw new CommandRefusedError(`The dump has a table that is not of a ledger: ${name}`);
    await tx`lock table ${tx(name)} in exclusive mode`;
    const [first] = await tx`select from ${tx(name)} limit 1`;
    if (first) {
      throw new CommandRefusedError(`The ledger is not empty: ${name} has rows. ${REMEDY}`);
    }
  }
}

async function copyIn(
  tx: postgres.TransactionSql,
  name: string,
  columns: string[],
  rows: AsyncIterable<Buffer>,
  moved: () => void,
): Promise<void> {
  const copy = await tx`copy ${tx(name)} (${tx(columns)}) from stdin`.writable();
  const failed = new Promise<never>((_, reject) => copy.once('error', reject));
  failed.catch(() => undefined);
  const send = async (lines: Buffer[]) => {
    const sent = new Promise<void>((resolve, reject) => {
      copy.write(Buffer.concat(lines), (error) => (error ? reject(error) : resolve()));
    });
    await Promise.race([failed, sent]);
    moved();
  };
  try {
    let waiting: Buffer[] = [];
    let size = 0;
    for await (const row of rows) {
      waiting.push(row);
      size += row.length;
      if (size < PIECE) continue;
      await send(waiting);
      waiting = [];
      size = 0;
    }
    await send(waiting);
  } catch (error) {
    copy.destroy(error instanceof Error ? error : new Error('aborted'));
    throw error;
  }
  copy.end();
  await setImmediate();
  // The client does not report that the server refused the last rows. The next query of the transaction does.
  await tx`select 1`.catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === IN_FAILED_TRANSACTION)) throw error;
    throw new CommandRefusedError(`The server refused rows of ${name}: nothing was restored.`);
  });
}

const Journal = z.looseObject({ entries: z.array(z.unknown()) });

/** Runs the first `count` migrations: those of the dumped ledger. */
async function migrateTo(url: string, count: number, migrations: string): Promise<void> {
  const journal = Journal.parse(JSON.parse(await readFile(join(migrations, 'meta/_journal.json'), 'utf8')));
  if (count > journal.entries.length) {
    throw new CommandRefusedError(
      'The dump was made by a newer version: restore it with that one or a later one.',
    );
  }
  const folder = await mkdtemp(join(tmpdir(), 'warmwind-migrations-'));
  try {
    await cp(migrations, folder, { recursive: true });
    const first = { ...journal, entries: journal.entries.slice(0, count) };
    await writeFile(join(folder, 'meta/_journal.json'), JSON.stringify(first));
    await migrate(url, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await withConnection(url, 'restore', async (sql) => {
    const [seen] = await sql`select count(*)::int as migrations from drizzle.__drizzle_migrations`;
    if (Number(seen?.migrations) === count) return;
    throw new CommandRefusedError(`The dump is of an older schema than this ledger has. ${REMEDY}`);
  });
}

async function migrate(url: string, folder: string): Promise<void> {
  if (await migrateLedger(url, MIGRATED_WITHIN_MS, folder)) return;
  throw new Error(`The ledger could not be migrated within ${MIGRATED_WITHIN_MS} ms.`);
}

if (import.meta.main) {
  await run(async (report) => {
    const { positionals } = parseArgs({ allowPositionals: true });
    const [file, ...more] = positionals;
    if (!file || more.length > 0) throw new CommandRefusedError('Usage: npm run ledger:restore -- <file>');
    const { ledger: url } = findServers(['ledger']);
    const next = 'Now run `npm run ledger:reconcile`: Redis may have newer records.';
    if (await isPgDump(file)) {
      await restorePgDump(url, file);
      report(`Restored by pg_restore.\n${next}`);
      return true;
    }
    const rows = await restoreLedger(url, file);
    report(`Restored:\n${table(rows)}\n${next}`);
    return true;
  });
}
