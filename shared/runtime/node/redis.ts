import { Redis, type RedisOptions } from 'ioredis';
import { backoff } from '../backoff.ts';
import { withTimeout } from '../timeout.ts';
import type { Logger } from './log.ts';

const base = (name: string): RedisOptions => ({
  connectionName: `warmwind-${name}`,
  connectTimeout: 5000,
  keepAlive: 10_000,
  retryStrategy: (attempt) => backoff(attempt, { firstMs: 100, maxMs: 2000 }),
});

const SENTINEL = 'redis+sentinel:';

/**
 * `redis://…` and `rediss://…` as they are; `redis+sentinel://[user:password@]host:port/<master>?sentinel=host:port&…`
 * asks the Sentinels for the master, now and after each failover.
 */
function open(url: string, options: RedisOptions): Redis {
  if (!url.startsWith(SENTINEL)) return new Redis(url, options);
  const { host, pathname, searchParams, username, password } = new URL(url);
  const sentinels = [host, ...searchParams.getAll('sentinel')].map((address) => {
    const [name = '', port = '26379'] = address.split(':');
    return { host: name, port: Number(port) };
  });
  return new Redis({
    ...options,
    sentinels,
    name: pathname.slice(1),
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
    sentinelRetryStrategy: (attempt) => Math.min(attempt * 50, 1000),
    // A master that became a replica refuses writes: ask the Sentinels again, and send the refused command there.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
  });
}

/**
 * A connection that answers or fails within `commandTimeout` ms, and fails at once while Redis is away: for requests
 * that someone waits for. A peer that has gone silent is left and dialled anew, so that given-up commands do not pile
 * up behind it.
 */
export function connectFailFast(
  url: string,
  name: string,
  log: Logger,
  commandTimeout = 1500,
  options: RedisOptions = {},
): Redis {
  const bounds = { commandTimeout, socketTimeout: commandTimeout * 2 };
  const prompt = { enableOfflineQueue: false, maxRetriesPerRequest: 0 };
  return watch(open(url, { ...base(name), ...bounds, ...prompt, ...options }), name, log);
}

/** A connection whose commands wait until Redis is back: for BullMQ's workers, subscribers, and what must be said. */
export function connectQueueing(url: string, name: string, log: Logger): Redis {
  return watch(open(url, { ...base(name), maxRetriesPerRequest: null }), name, log);
}

/** ioredis reports every failed attempt; one line for each loss and each return is enough. */
function watch(redis: Redis, name: string, log: Logger): Redis {
  let up = true;
  redis.on('error', (error: Error) => {
    if (up) log.warn({ redis: name, err: error }, 'redis is away');
    up = false;
  });
  redis.on('ready', () => {
    if (!up) log.info({ redis: name }, 'redis is back');
    up = true;
  });
  return redis;
}

/** Closes politely within `withinMs`, then hard. Never rejects. */
export async function disconnect(redis: Redis, withinMs = 1000): Promise<void> {
  if (redis.status === 'ready') {
    await withTimeout(redis.quit(), withinMs).catch(() => undefined);
  }
  redis.disconnect();
}
