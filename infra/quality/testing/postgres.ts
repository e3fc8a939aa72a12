import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';
import postgres from 'postgres';
import { DATABASE, ensureCluster, serverCommand } from '../../local/postgres/cluster.ts';
import { parentOf } from '../../local/stack/processes.ts';
import { freePort } from './port.ts';
import { waitFor } from './wait.ts';

/** A real PostgreSQL of one test, which can be killed, restarted on the same port, and frozen. */
export type TestPostgres = {
  url: string;
  port: number;
  /** A connection for the test itself. */
  sql: postgres.Sql;
  /** Sends SIGKILL to all of its processes and waits until they have ended. */
  kill: () => Promise<void>;
  /** Starts it again on the same port, with its data. */
  restart: () => Promise<void>;
  /** Sends SIGSTOP and SIGCONT to all of its processes: connections stay open without an answer. */
  freeze: () => void;
  thaw: () => void;
  stop: () => Promise<void>;
};

export const PASSWORD = 'for-tests-only';
/** Without fsync a killed process still loses no writes: the kernel has them. */
const FAST = ['-c', 'fsync=off', '-c', 'io_method=sync', '-c', 'shared_buffers=32MB'];

const RESTARTS = 20;
const RESTART_AGAIN_MS = 200;

/** `args`: arguments of the server (`-c name=value`). `migrated`: with the ledger's schema. */
export type PostgresOptions = { args?: string[]; migrated?: boolean };

export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const dir = await makeDir();
  await copyCluster(join(dir, 'data'));
  return runPostgres(dir, options);
}

/** Starts a server on the cluster in `data` below this folder; stopping it removes the folder. */
export async function runPostgres(dir: string, options: PostgresOptions): Promise<TestPostgres> {
  const port = await freePort();
  const url = `postgres://${DATABASE}:${PASSWORD}@127.0.0.1:${port}/${DATABASE}`;
  let child: ChildProcess;

  const start = async () => {
    // The kernel ends it with its parent, also when a test runner is killed.
    const { file, args } = serverCommand(port, [...FAST, ...(options.args ?? [])], ['--pdeathsig', 'KILL']);
    const started = spawn(file, args, { cwd: join(dir, 'data'), stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    let output = '';
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4000);
    });
    await waitFor('PostgreSQL to answer', async () => {
      if (hasEnded(started)) throw new Error(`PostgreSQL did not start:\n${output}`);
      return answers(url);
    });
  };
  /** Retries the start: a process forked by the killed server may keep its shared memory for a moment. */
  const restart = async () => {
    for (let left = RESTARTS; ; left--) {
      try {
        return await start();
      } catch (error) {
        if (left === 0 || !String(error).includes('still in use')) throw error;
        await sleep(RESTART_AGAIN_MS);
      }
    }
  };
  const signal = (name: NodeJS.Signals) => {
    if (!hasEnded(child)) signalTree(child.pid ?? 0, name);
  };
  const kill = async () => {
    if (hasEnded(child)) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    const pids = signalTree(child.pid ?? 0, 'SIGKILL');
    await gone;
    await waitFor('the processes of PostgreSQL to end', () =>
      pids.every((pid) => parentOf(pid) === undefined),
    );
  };

  await start();
  const sql = postgres(url, { max: 2, connect_timeout: 3, backoff: false, onnotice: () => undefined });
  if (options.migrated) await migrate(url);
  return {
    url,
    port,
    sql,
    kill,
    restart,
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    stop: async () => {
      await sql.end({ timeout: 0 });
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function migrate(url: string): Promise<void> {
  const log = createLog('test');
  const ledger = new Ledger(url, 'test', log);
  const bound = AbortSignal.timeout(15_000);
  await ledger.migrate(bound);
  await ledger.close();
  if (bound.aborted) throw new Error('the ledger could not be migrated');
}

/** Makes a folder of a server's files. */
export async function makeDir(name = 'postgres'): Promise<string> {
  const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
  await mkdir(root, { recursive: true });
  return mkdtemp(join(root, `${name}-`));
}

/** Copies a cluster that is made once for each test run, because making one is slow. */
export async function copyCluster(data: string): Promise<void> {
  const root = process.env.WARMWIND_TEST_DIR;
  if (!root) return ensureCluster(data, { password: PASSWORD, fast: true });
  const template = join(root, 'postgres');
  if (!existsSync(template)) {
    const own = await mkdtemp(`${template}-template-`);
    await ensureCluster(join(own, 'data'), { password: PASSWORD, fast: true });
    // Another test file may have made it meanwhile: keep that one.
    await rename(own, template).catch(() => rm(own, { recursive: true, force: true }));
  }
  await copyData(join(template, 'data'), data);
}

/** Copies the data of a cluster whose server is stopped. */
export const copyData = (from: string, to: string) =>
  promisify(execFile)('cp', ['-a', '--reflink=auto', from, to]);

/** Does the PostgreSQL or the pooler of this URL answer a query? */
export async function answers(url: string): Promise<boolean> {
  const probe = postgres(url, { max: 1, connect_timeout: 1, fetch_types: false });
  try {
    await probe`select 1`;
    return true;
  } catch {
    return false;
  } finally {
    await probe.end({ timeout: 0 });
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

/**
 * Signals the server and its child processes; the server first, so that it starts no more.
 * @returns the ids of the signalled processes
 */
function signalTree(pid: number, signal: NodeJS.Signals): number[] {
  process.kill(pid, signal === 'SIGKILL' ? 'SIGSTOP' : signal);
  const children = readdirSync('/proc')
    .map(Number)
    .filter((other) => other > 0 && parentOf(other) === pid);
  const ends = signal === 'SIGKILL' ? [...children, pid] : children;
  for (const each of ends) {
    try {
      process.kill(each, signal);
    } catch {
      // The process has ended meanwhile.
    }
  }
  return ends;
}
