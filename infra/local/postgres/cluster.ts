import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { asAccount, type Command, ensureAccount } from './account.ts';
import { findBinaries } from './binaries.ts';

/** The database and the role that owns it. The role is no superuser: the server's own can't log in from anywhere. */
export const DATABASE = 'warmwind';
/** File with a hash of the password that the cluster has. */
const KNOWN_PASSWORD = 'warmwind.password';
const INIT_WITHIN_MS = 120_000;

/**
 * The path of the data for programs that work in its folder: they need no right to enter the folders above
 * it.
 */
const HERE = '/proc/self/cwd';

/** The password is 256 random bits, so that many rounds add no safety, and would cost each connection milliseconds. */
const SCRAM_ITERATIONS = ['-c', 'scram_iterations=1'];

/** Server options: reachable from this machine only, and no user's data in the log. */
const OPTIONS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '300',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  log_checkpoints: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
  /** A session that stops answering in a transaction does not keep its locks. */
  idle_in_transaction_session_timeout: '15s',
};

/** The server itself; later options win. */
export function serverCommand(port: number, options: string[] = [], extra: string[] = []): Command {
  const set = Object.entries(OPTIONS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const args = ['-D', HERE, '-p', `${port}`, ...set, ...SCRAM_ITERATIONS, ...options];
  return asAccount(findBinaries().postgres, args, ensureAccount(), extra);
}

export type ClusterOptions = {
  password: string;
  /** Skip waiting for the disk: for data that need not outlive the machine. */
  fast?: boolean;
};

/**
 * Makes `dir` a cluster with an empty database and this password, unless it is one. The remains of a killed
 * first start are replaced.
 */
export async function ensureCluster(dir: string, { password, fast = false }: ClusterOptions): Promise<void> {
  const known = createHash('sha256').update(password).digest('hex');
  const quoted = `'${password.replaceAll("'", "''")}'`;
  if (existsSync(dir)) {
    const mark = join(dir, KNOWN_PASSWORD);
    if (readFileSync(mark, 'utf8') === known) return;
    await single(dir, [`alter role ${DATABASE} password ${quoted}`]);
    writeFileSync(mark, known);
    return;
  }
  const account = ensureAccount();
  const aside = `${dir}.new`;
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside, { recursive: true, mode: 0o700 });
  if (account) chownSync(aside, account.uid, account.gid);
  const args = [
    ...['--pgdata', HERE, '--username', 'postgres', '--encoding', 'UTF8', '--locale', 'C'],
    ...['--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'],
    ...['--auth-local', 'reject', '--auth-host', 'scram-sha-256'],
    ...(fast ? ['--no-sync'] : []),
  ];
  await run(asAccount(findBinaries().initdb, args, account), aside);
  await single(aside, [
    `create role ${DATABASE} login password ${quoted}`,
    `create database ${DATABASE} owner ${DATABASE}`,
  ]);
  writeFileSync(join(aside, KNOWN_PASSWORD), known, { mode: 0o600 });
  renameSync(aside, dir);
  // From here on it is complete: its name has to be on the disk as well.
  const folder = openSync(dirname(dir), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/**
 * Runs statements as the server's superuser while no server runs: they, and so the password, are passed by
 * its input.
 */
export async function single(dir: string, statements: string[]): Promise<void> {
  const options = ['-c', 'exit_on_error=on', '-c', 'log_min_error_statement=panic', ...SCRAM_ITERATIONS];
  const args = ['--single', '-D', HERE, ...options, 'postgres'];
  await run(asAccount(findBinaries().postgres, args, ensureAccount()), dir, `${statements.join('\n')}\n`);
}

/** @throws Error with the end of the program's output */
function run({ file, args }: Command, cwd: string, input = ''): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env: { PATH: process.env.PATH }, timeout: INIT_WITHIN_MS });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-4000);
      });
    }
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${file} ended with ${code ?? signal}:\n${output}`));
    });
  });
}
