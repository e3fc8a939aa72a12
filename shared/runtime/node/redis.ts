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
 * Connects to `redis://…` and `rediss://…` directly; for
 * `redis+sentinel://[user:password@]host:port/<master>?sentinel=host:port&…` it asks the Sentinels for the
 * master, now and after each failover.
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
    // A master that became a replica refuses writes: ask the Sentinels again, and repeat the command there.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
  });
}

/**
 * Opens a fail-fast connection: a command answers or fails within `commandTimeout` ms, and fails at once
 * while Redis is unavailable. For requests that a client waits for. The socket to a silent peer is replaced,
 * so that abandoned commands do not pile up behind it.
 */
export function connectFailFast(
  url: string,
  name: string,
  log: Logger,
  commandTimeout = 1500,
  options: RedisOptions = {},
): Redis {
  const bounds = { commandTimeout, socketTimeout: commandTimeout * 2 };
  const failFast = { enableOfflineQueue: false, maxRetriesPerRequest: 0 };
  return watch(open(url, { ...base(name), ...bounds, ...failFast, ...options }), name, log);
}

/**
 * Opens a queueing connection: commands wait until Redis recovers. For BullMQ's workers, subscribers, and
 * messages that must be sent.
 */
export function connectQueueing(url: string, name: string, log: Logger): Redis {
  return watch(open(url, { ...base(name), maxRetriesPerRequest: null }), name, log);
}

/** Logs one line for each loss and each recovery, as ioredis reports every failed attempt. */
function watch(redis: Redis, name: string, log: Logger): Redis {
  let up = true;
  redis.on('error', (error: Error) => {
    if (up) log.warn({ redis: name, err: error }, 'redis unavailable');
    up = false;
  });
  redis.on('ready', () => {
    if (!up) log.info({ redis: name }, 'redis recovered');
    up = true;
  });
  return redis;
}

/** Quits within `withinMs`, then disconnects. Never rejects. */
export async function disconnect(redis: Redis, withinMs = 1000): Promise<void> {
  if (redis.status === 'ready') {
    await withTimeout(redis.quit(), withinMs).catch(() => undefined);
  }
  redis.disconnect();
}
