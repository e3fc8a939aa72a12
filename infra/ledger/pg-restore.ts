import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Refused } from './command.ts';
import { withConnection } from './connection.ts';
import { findProgram, installRemedy, type Program, runProgram, serverMajor } from './programs.ts';

/** What a file in `pg_dump`'s custom format begins with. */
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
 * Restores a file of `pg_dump` into an empty database by `pg_restore`: all of it or nothing. Its schema is the one that was
 * dumped.
 * @param migrations the folder of this version's migrations
 * @throws Refused where `pg_restore` is missing, the database is not empty, or the dump is of a newer version
 */
export async function pgRestore(url: string, file: string, migrations: string): Promise<void> {
  const program = await findProgram('pg_restore');
  if (!program) {
    throw new Refused(
      `The file was made by pg_dump, and no pg_restore is here. ${installRemedy(await serverMajor(url))}`,
    );
  }
  await refuseNewer(program, file, migrations);
  await refuseFilled(url);
  const args = ['--single-transaction', '--exit-on-error', '--no-owner', '--no-acl'];
  await runProgram(program, [...args, file], { url });
}

/** The dump holds its migrations as rows: more of them than there are here are a newer version's. */
async function refuseNewer(program: Program, file: string, migrations: string): Promise<void> {
  let text = '';
  const args = ['--data-only', '--schema=drizzle', '--table=__drizzle_migrations', '--file=-', file];
  await runProgram(program, args, { onOutput: (some) => (text += some) });
  const rows = /^COPY .*__drizzle_migrations.*\n([\s\S]*?)^\\\.$/m.exec(text)?.[1];
  if (rows === undefined) throw new Refused('The dump is not of a ledger.');
  const journal = Journal.parse(JSON.parse(await readFile(join(migrations, 'meta/_journal.json'), 'utf8')));
  if (rows.split('\n').length - 1 > journal.entries.length) {
    throw new Refused('The dump was made by a newer version: restore it with that one or a later one.');
  }
}

/** Tables that are there already make the restore fail: also those that a service makes meanwhile. */
const refuseFilled = (url: string): Promise<void> =>
  withConnection(url, 'restore', async (sql) => {
    const [found] = await sql`select table_schema || '.' || table_name as name from information_schema.tables
      where table_schema in (current_schema(), 'drizzle') limit 1`;
    if (found) throw new Refused(`The database is not empty: it has ${found.name}. ${REMEDY}`);
  });
