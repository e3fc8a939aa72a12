/** `npm run ledger:dump -- <file>`: see docs/operations/backup.md. */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';
import type postgres from 'postgres';
import { END_OF_ROWS, FORMAT, type Footer, type Header } from './archive.ts';
import { CommandRefusedError, run, table } from './command.ts';
import { inTransaction } from './connection.ts';
import { findPgDump, pgDump } from './pg-dump.ts';
import { findServers } from './servers.ts';
import { TABLES } from './tables.ts';

/** Rows are passed on in pieces of about this size, bytes. */
const PIECE = 64 * 1024;

/**
 * Dumps the complete ledger, as of one moment, into `file`, while services continue. The file appears when it
 * is complete; an older one of that name is kept until then.
 * @returns the number of rows of each table
 */
export async function dumpLedger(url: string, file: string, signal?: AbortSignal): Promise<Footer['rows']> {
  const aside = `${file}.${process.pid}.part`;
  try {
    const mode = 'isolation level repeatable read read only';
    const rows = await inTransaction(url, 'dump', mode, async (tx, moved) => {
      const counted: Footer['rows'] = {};
      await pipeline(
        Readable.from(contentOf(tx, counted, moved), { objectMode: false }),
        createGzip(),
        createWriteStream(aside, { flags: 'wx', mode: 0o600, flush: true }),
        { signal },
      );
      return counted;
    });
    await rename(aside, file);
    return rows;
  } finally {
    await rm(aside, { force: true });
  }
}

async function* contentOf(
  tx: postgres.TransactionSql,
  counted: Footer['rows'],
  moved: () => void,
): AsyncGenerator<Buffer> {
  const [seen] = await tx`select count(*)::int as migrations, now() as at from drizzle.__drizzle_migrations`;
  const header: Header = {
    ...FORMAT,
    migrations: Number(seen?.migrations),
    at: new Date(seen?.at).toISOString(),
    tables: TABLES,
  };
  yield line(header);
  for (const { name, columns } of TABLES) {
    let rows = 0;
    for await (const piece of copyOut(tx, name, columns)) {
      for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, end + 1)) rows += 1;
      moved();
      yield piece;
    }
    counted[name] = rows;
    yield END_OF_ROWS;
  }
  const footer: Footer = { rows: counted };
  yield line(footer);
}

async function* copyOut(
  tx: postgres.TransactionSql,
  name: string,
  columns: string[],
): AsyncGenerator<Buffer> {
  const rows = await tx`copy ${tx(name)} (${tx(columns)}) to stdout`.readable();
  let waiting: Buffer[] = [];
  let size = 0;
  for await (const chunk of rows as AsyncIterable<Buffer>) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < PIECE) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    size = 0;
  }
  // The client pauses its socket while we are slow, and resumes it only at the next read: also after the last
  // row.
  rows._read(0);
  yield Buffer.concat(waiting);
}

const line = (value: Header | Footer) => Buffer.from(`${JSON.stringify(value)}\n`);

const USAGE = 'Usage: npm run ledger:dump -- <file> [--format custom|copy]';

/** Dumps by `pg_dump` when it is new enough, else in the format of this project. */
async function main(report: (text: string) => void): Promise<boolean> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { format: { type: 'string' } },
  });
  const [file, ...more] = positionals;
  const { format } = values;
  if (!file || more.length > 0) throw new CommandRefusedError(USAGE);
  if (format !== undefined && format !== 'custom' && format !== 'copy') throw new CommandRefusedError(USAGE);
  const stopped = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stopped.abort());
  const { ledger: url } = findServers(['ledger']);
  if (format !== 'copy') {
    const found = await findPgDump(url);
    if ('program' in found) {
      await pgDump(found.program, url, file, stopped.signal);
      report(`Dumped into ${file} by pg_dump ${found.program.major}, custom format.`);
      return true;
    }
    if (format === 'custom') throw new CommandRefusedError(`${found.missing} Or omit --format.`);
    report(`Not by pg_dump: ${found.missing}`);
  }
  const rows = await dumpLedger(url, file, stopped.signal);
  report(`Dumped into ${file}:\n${table(rows)}`);
  return true;
}

if (import.meta.main) await run(main);
