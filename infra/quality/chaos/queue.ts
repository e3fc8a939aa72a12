import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectQueueing } from '@warmwind/shared/runtime/node/redis';
import { Redis } from 'ioredis';
import { freePort } from '../testing/port.ts';
import { startRedis, type TestRedis } from '../testing/redis.ts';
import { waitFor } from '../testing/wait.ts';

/** The queue Redis of a world, as services reach it. */
export type QueueRedis = {
  url: string;
  /** The harness's own connection to the current master. */
  client: Redis;
  /** Kills a single server and restarts it with its log after `awayMs`. */
  crash: (awayMs: number) => Promise<void>;
  /** The two halves of `crash`. */
  kill: () => Promise<void>;
  restart: () => Promise<void>;
  /** Controls the failover; only with Sentinels. */
  pair: Pair | undefined;
  stop: () => Promise<void>;
};

/** A master and its replica, which three Sentinels watch. */
export type Pair = {
  /** A connection to the replica itself, to see what it has when its master dies. */
  replica: Redis;
  /** Ends replication; both servers keep running, and the Sentinels reach both. */
  partition: () => Promise<void>;
  /** SIGKILL to the master; resolves when the replica is the master. */
  failOver: () => Promise<void>;
  /** Restarts the old master, which the Sentinels make a replica. */
  rejoin: () => Promise<void>;
};

const MASTER = 'queue';
/** The account that a replica uses at its master; disabling it ends replication. */
const FOLLOWER = 'follower';
const PASSWORD = 'for-tests-only';
const DOWN_AFTER_MS = 1500;
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'everysec'];
const FOLLOWS = [
  ...['--user', FOLLOWER, 'on', `>${PASSWORD}`, '+psync', '+replconf', '+ping'],
  ...['--masteruser', FOLLOWER, '--masterauth', PASSWORD, '--repl-diskless-sync-delay', '0'],
];

/** One server, its log on disk as in production. */
export async function startSingleQueue(): Promise<QueueRedis> {
  const redis = await startRedis(DURABLE);
  const crash = async (awayMs: number) => {
    await redis.kill();
    await sleep(awayMs);
    await redis.restart();
  };
  const { url, client, kill, restart, stop } = redis;
  return { url, client, crash, kill, restart, pair: undefined, stop };
}

export async function startWatchedQueue(): Promise<QueueRedis> {
  const master = await startRedis([...DURABLE, ...FOLLOWS]);
  const replica = await startRedis([
    ...DURABLE,
    ...FOLLOWS,
    ...['--replicaof', '127.0.0.1', `${master.port}`],
  ]);
  const linked = async () => (await replica.client.info('replication')).includes('master_link_status:up');
  await waitFor('the replica to follow', linked);
  const dir = await mkdtemp(join(process.env.WARMWIND_TEST_DIR ?? tmpdir(), 'sentinels-'));
  const sentinels = await Promise.all(
    [1, 2, 3].map((n) => startSentinel(join(dir, `${n}.conf`), master.port)),
  );
  const [first, ...others] = sentinels.map(({ port }) => `127.0.0.1:${port}`);
  const url = `redis+sentinel://${first}/${MASTER}?${others.map((at) => `sentinel=${at}`).join('&')}`;
  await waitFor('the Sentinels to know each other and the replica', async () => {
    const known = await Promise.all(sentinels.map(({ client }) => masterOf(client)));
    return known.every((of) => of['num-other-sentinels'] === '2' && of['num-slaves'] === '1');
  });
  const client = connectQueueing(url, 'chaos', silent());
  const refuse = () =>
    Promise.reject(
      new Error('a watched queue Redis cannot be crashed: its Sentinels would promote the replica'),
    );
  return {
    url,
    client,
    crash: refuse,
    kill: refuse,
    restart: refuse,
    pair: pairOf(master, replica, sentinels),
    stop: async () => {
      client.disconnect();
      await Promise.all(sentinels.map((sentinel) => sentinel.stop()));
      await Promise.all([master.stop(), replica.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function pairOf(master: TestRedis, replica: TestRedis, sentinels: Sentinel[]): Pair {
  return {
    replica: replica.client,
    partition: async () => {
      await master.client.call('ACL', 'SETUSER', FOLLOWER, 'off');
      await master.client.call('CLIENT', 'KILL', 'TYPE', 'replica');
      await waitFor('replication to be cut', async () =>
        (await replica.client.info('replication')).includes('master_link_status:down'),
      );
    },
    failOver: async () => {
      await master.kill();
      await waitFor(
        'the replica to be promoted',
        async () => {
          const known = await Promise.all(sentinels.map(({ client }) => masterOf(client)));
          const agreed = known.every((of) => of.port === `${replica.port}`);
          return agreed && (await replica.client.info('replication')).includes('role:master');
        },
        60_000,
      );
    },
    rejoin: () => master.restart(),
  };
}

type Sentinel = { port: number; client: Redis; stop: () => Promise<void> };

async function startSentinel(config: string, masterPort: number): Promise<Sentinel> {
  const port = await freePort();
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${MASTER} 6000`,
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  const child: ChildProcess = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', 'redis-server', config, '--sentinel'],
    { stdio: 'ignore' },
  );
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  await waitFor('a Sentinel to answer', () => client.status === 'ready');
  return {
    port,
    client,
    stop: async () => {
      client.disconnect();
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** Reads a Sentinel's fields of the master. */
async function masterOf(sentinel: Redis): Promise<Record<string, string>> {
  const flat = (await sentinel.call('SENTINEL', 'MASTER', MASTER)) as string[];
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
}

function silent() {
  const log = createLog('chaos');
  log.level = 'silent';
  return log;
}
