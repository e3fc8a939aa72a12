import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CommandRefusedError } from './command.ts';
import { withConnection } from './connection.ts';
import { findProgram, installRemedy, type Program, runProgram, serverMajor } from './programs.ts';
import { TABLES } from './tables.ts';

/** First bytes of a file in `pg_dump`'s custom format. */
const MAGIC = 'PGDMP';
const REMEDY = 'Create an empty database, set LEDGER_URL to it, and restore into that.';

const Journal = z.looseObject({ entries: z.array(z.unknown()) });

/** Was the file made by `pg_dump`? */
export async function isPgDump(file: string): Promise<boolean> {
  const opened = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await opened.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    return buffer.toString('latin1', 0, bytesRead) === MAGIC;
  } finally {
    await opened.close();
  }
}

/**
 * Restores a file of `pg_dump` by `pg_restore`: all of it or nothing. A database without tables gets the dump's schema, a
 * ledger without rows keeps its own, which must be the same.
 * @param migrations the folder of this version's migrations
 * @throws CommandRefusedError where `pg_restore` is missing, the ledger is not empty, or the dump is of another version
 */
export async function pgRestore(url: string, file: string, migrations: string): Promise<void> {
  const program = await findProgram('pg_restore');
  if (!program) {
    throw new CommandRefusedError(
      `The file was made by pg_dump, and pg_restore is not installed. ${installRemedy(await serverMajor(url))}`,
    );
  }
  const dumped = await dumpedMigrations(program, file);
  await refuseNewer(dumped, migrations);
  const args = ['--single-transaction', '--exit-on-error', '--no-owner', '--no-acl'];
  if (!(await hasNoTables(url))) {
    await refuseFilled(url, dumped);
    args.push('--data-only', '--schema=public');
  }
  await runProgram(program, [...args, file], { url });
}

/** Number of migrations of the dumped schema: the dump holds them as rows. */
async function dumpedMigrations(program: Program, file: string): Promise<number> {
  let text = '';
  const args = ['--data-only', '--schema=drizzle', '--table=__drizzle_migrations', '--file=-', file];
  const onOutput = (some: string) => {
    text += some;
  };
  await runProgram(program, args, { onOutput });
  const rows = /^COPY .*__drizzle_migrations.*\n([\s\S]*?)^\\\.$/m.exec(text)?.[1];
  if (rows === undefined) throw new CommandRefusedError('The dump is not of a ledger.');
  return rows.split('\n').length - 1;
}

async function refuseNewer(dumped: number, migrations: string): Promise<void> {
  const journal = Journal.parse(JSON.parse(await readFile(join(migrations, 'meta/_journal.json'), 'utf8')));
  if (dumped > journal.entries.length) {
    throw new CommandRefusedError(
      'The dump was made by a newer version: restore it with that one or a later one.',
    );
  }
}

const hasNoTables = (url: string): Promise<boolean> =>
  withConnection(url, 'restore', async (sql) => {
    const found = await sql`select from information_schema.tables
      where table_schema in (current_schema(), 'drizzle') limit 1`;
    return found.length === 0;
  });

/** Rows that a service adds after this check stay next to those of the dump, or make the restore fail. */
const refuseFilled = (url: string, dumped: number): Promise<void> =>
  withConnection(url, 'restore', async (sql) => {
    const [ledger] = await sql`select to_regclass('drizzle.__drizzle_migrations') is not null as known`;
    if (!ledger?.known) throw new CommandRefusedError(`The database is not empty. ${REMEDY}`);
    for (const { name } of TABLES) {
      const [first] = await sql`select from ${sql(name)} limit 1`;
      if (first) throw new CommandRefusedError(`The ledger is not empty: ${name} has rows. ${REMEDY}`);
    }
    const [seen] = await sql`select count(*)::int as migrations from drizzle.__drizzle_migrations`;
    if (Number(seen?.migrations) === dumped) return;
    throw new CommandRefusedError(`The dump is of an older schema than this ledger has. ${REMEDY}`);
  });
