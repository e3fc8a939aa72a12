import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';

const COMMON = ['--bind', '127.0.0.1', '--protected-mode', 'yes', '--save', '', '--tcp-keepalive', '60'];

/**
 * Writes a configuration file with the password of a Redis, which only its owner can read: every user of the
 * machine sees arguments.
 * @param password without white space or quotes
 * @returns its path, the first argument of `redis-server`
 */
export function writeRedisConfig(dir: string, password: string): string {
  const path = join(dir, 'redis.conf');
  // An existing file would keep its mode: a new one replaces it.
  writeFileSync(`${path}.new`, `requirepass ${password}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return path;
}

/** Queue role: its content is a promise, so it is logged to disk each second and never evicted. */
export const queueArgs = (port: number, dir: string): string[] => [
  ...['--port', `${port}`, '--dir', dir, ...COMMON],
  ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'],
];

/**
 * Realtime role: may be lost, so nothing is written to disk. When memory is short the logs that would expire
 * first are evicted: their watchers get a snapshot. A subscriber that can't follow is disconnected before
 * others are affected; it replays.
 */
export const realtimeArgs = (port: number, dir: string): string[] => [
  ...['--port', `${port}`, '--dir', dir, ...COMMON],
  ...['--appendonly', 'no', '--maxmemory', '1gb', '--maxmemory-policy', 'volatile-ttl'],
  ...['--client-output-buffer-limit', 'pubsub', '64mb', '32mb', '30'],
];

/** Does the Redis on this port answer, with its data loaded, as process `pid`? */
export async function redisAnswers(port: number, pid: number, password?: string): Promise<boolean> {
  const redis = new Redis(port, '127.0.0.1', {
    lazyConnect: true,
    ...(password === undefined ? {} : { password }),
    connectTimeout: 1000,
    commandTimeout: 1000,
    retryStrategy: () => null,
  });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    const server = await redis.info('server');
    return server.includes(`process_id:${pid}\r\n`) && (await redis.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}
