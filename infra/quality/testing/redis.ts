import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from './port.ts';
import { waitFor } from './wait.ts';

/** A real redis-server of one test, which can be killed, restarted on the same port, and frozen. */
export type TestRedis = {
  url: string;
  port: number;
  /** A connection for the test itself. */
  client: Redis;
  /** Sends SIGKILL and waits until it has ended. */
  kill: () => Promise<void>;
  /** Starts it again on the same port (with AOF: with its data). */
  restart: () => Promise<void>;
  /** Sends SIGSTOP and SIGCONT: connections stay open without an answer. */
  freeze: () => void;
  thaw: () => void;
  stop: () => Promise<void>;
};

export async function startRedis(args: string[] = []): Promise<TestRedis> {
  const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
  await mkdir(root, { recursive: true });
  const dir = await mkdtemp(join(root, 'redis-'));
  const port = await freePort();
  let child: ChildProcess;

  const start = async () => {
    const options = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
    // The kernel ends it with its parent, also when a test runner is killed.
    const command = [
      '--pdeathsig',
      'KILL',
      'redis-server',
      ...options,
      '--maxmemory-policy',
      'noeviction',
      ...args,
    ];
    child = spawn('setpriv', command, { stdio: 'ignore' });
    const probe = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => null });
    probe.on('error', () => undefined);
    await waitFor('Redis to answer', async () => {
      try {
        if (probe.status !== 'ready') await probe.connect();
        return (await probe.ping()) === 'PONG';
      } catch {
        return false;
      }
    });
    probe.disconnect();
  };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  };

  await start();
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    client,
    kill,
    restart: start,
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    stop: async () => {
      client.disconnect();
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
