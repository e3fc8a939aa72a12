import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { preparePooler } from '../../local/pooler/command.ts';
import { pooledUrl, poolerUpstreams } from '../../local/pooler/urls.ts';
import { freePort } from './port.ts';
import { answers, makeDir } from './postgres.ts';
import { waitFor } from './wait.ts';

/** A real PgBouncer in front of a PostgreSQL, which can be killed, restarted on the same port, and frozen. */
export type TestPooler = {
  /** For its clients. */
  url: string;
  /** The same of the replica, if there is one. */
  readUrl: string | undefined;
  pid: () => number;
  /** Its log. */
  log: () => string;
  kill: () => Promise<void>;
  restart: () => Promise<void>;
  /** SIGSTOP and SIGCONT: connections stay open without an answer. */
  freeze: () => void;
  thaw: () => void;
  stop: () => Promise<void>;
};

export type TestPoolerOptions = { readUrl?: string | undefined; poolSize?: number; maxClients?: number };

/** @param target URL of the PostgreSQL, which must answer */
export async function startPooler(target: string, options: TestPoolerOptions = {}): Promise<TestPooler> {
  const { readUrl, poolSize = 20, maxClients = 1000 } = options;
  const dir = await makeDir('pooler');
  const port = await freePort();
  const upstreams = poolerUpstreams({ LEDGER_URL: target, LEDGER_READ_URL: readUrl });
  const address = `127.0.0.1:${port}`;
  const url = pooledUrl('LEDGER_URL', target, address);
  let child: ChildProcess;
  let log = '';

  const start = async () => {
    // The kernel ends it with its parent, also when a test runner is killed.
    const { file, args } = preparePooler(dir, { bind: '127.0.0.1', port, upstreams, poolSize, maxClients }, [
      '--pdeathsig',
      'KILL',
    ]);
    const started = spawn(file, args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-20_000);
    });
    await waitFor('PgBouncer to answer', async () => {
      if (hasEnded(started)) throw new Error(`PgBouncer did not start:\n${log}`);
      return answers(url);
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${log}`);
    });
  };
  const kill = async () => {
    if (hasEnded(child)) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };

  await start();
  return {
    url,
    readUrl: readUrl && pooledUrl('LEDGER_READ_URL', readUrl, address),
    pid: () => child.pid ?? 0,
    log: () => log,
    kill,
    restart: start,
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    stop: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;
