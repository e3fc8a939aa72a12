import { chmod, open, rename, rm } from 'node:fs/promises';
import { findProgram, installRemedy, type Program, runProgram, serverMajor } from './programs.ts';

/** Its rows hold only for a moment: the leader writes them again. */
const LEFT_OUT = 'heartbeat';

/** The program `pg_dump`, or the reason why it can't dump this ledger. */
export type PgDump = { program: Program } | { missing: string };

/** Looks for a `pg_dump` that is as new as the ledger's server: an older one refuses. */
export async function findPgDump(url: string): Promise<PgDump> {
  const [program, server] = [await findProgram('pg_dump'), await serverMajor(url)];
  if (program && program.major >= server) return { program };
  const found = program
    ? `pg_dump ${program.major} is older than the server (${server})`
    : 'pg_dump is not installed';
  return { missing: `${found}. ${installRemedy(server)}` };
}

/**
 * Dumps the complete database by `pg_dump` in its custom format, as of one moment. The file appears when it
 * is complete; an older one of that name is kept until then.
 */
export async function pgDump(
  program: Program,
  url: string,
  file: string,
  signal?: AbortSignal,
): Promise<void> {
  const aside = `${file}.${process.pid}.part`;
  try {
    // Made here, so that only its owner can read it from the first byte on.
    await (await open(aside, 'wx', 0o600)).close();
    const args = ['--format=custom', '--no-owner', '--no-acl', '--lock-wait-timeout=10s'];
    await runProgram(program, [...args, `--exclude-table-data=${LEFT_OUT}`, '--file', aside], {
      url,
      signal,
    });
    await flush(aside);
    await rename(aside, file);
  } finally {
    await rm(aside, { force: true });
  }
}

async function flush(file: string): Promise<void> {
  await chmod(file, 0o600);
  const written = await open(file, 'r');
  try {
    await written.sync();
  } finally {
    await written.close();
  }
}
