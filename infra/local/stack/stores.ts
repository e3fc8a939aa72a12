import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DATABASE } from '../postgres/cluster.ts';
import type { PartsContext } from './context.ts';
import type { ReservedPort } from './ports.ts';
import { postgresAnswers } from './postgres.ts';
import { type queueArgs, redisAnswers, writeRedisConfig } from './redis.ts';
import type { Part } from './supervisor.ts';

const READY_WITHIN_MS = 30_000;
/** The first start creates the data; a start after a crash replays the log. */
const POSTGRES_READY_WITHIN_MS = 120_000;

export type RedisOptions = { name: string; what: string; port: ReservedPort; args: typeof queueArgs };

export function redisPart(context: PartsContext, { name, what, port, args }: RedisOptions): Part {
  const { dir, settings, secrets } = context;
  const data = dir.file(name);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  return {
    name,
    what,
    url: `redis://127.0.0.1:${port.port}`,
    command: context.redisServer,
    args: [writeRedisConfig(data, secrets.redisPassword), ...args(port.port, data)],
    env: settings.inherited,
    prepare: port.release,
    ready: (pid) => redisAnswers(port.port, pid, secrets.redisPassword),
    readyWithinMs: READY_WITHIN_MS,
    stopSignal: 'SIGTERM',
    stopWithinMs: 10_000,
  };
}

/** @param url of the ledger, with its password */
export function postgresPart({ root, dir, ports, settings, secrets }: PartsContext, url: string): Part {
  const { port, release } = ports.LEDGER_PORT;
  const own = { PORT: `${port}`, DATA_DIR: dir.file('postgres'), LEDGER_PASSWORD: secrets.ledgerPassword };
  return {
    name: 'postgres',
    what: 'PostgreSQL, the ledger',
    url: `postgres://127.0.0.1:${port}/${DATABASE}`,
    command: process.execPath,
    args: [join(root, 'infra/local/postgres/main.ts')],
    env: { ...settings.inherited, ...own },
    prepare: release,
    ready: (pid) => postgresAnswers(url, pid),
    readyWithinMs: POSTGRES_READY_WITHIN_MS,
    // Ends sessions and writes all data.
    stopSignal: 'SIGINT',
    stopWithinMs: 20_000,
  };
}
