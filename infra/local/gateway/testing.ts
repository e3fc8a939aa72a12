import { Redis as Upstash } from '@upstash/redis';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { Registry } from 'prom-client';
import { startRedis, type TestRedis } from '../../quality/testing/redis.ts';
import { buildApp } from './app.ts';
import { DEFAULT_LIMITS, type Limits } from './config.ts';
import { connectRedis } from './execute.ts';
import { EventStreams } from './streams.ts';

export const TOKEN = 'a-token-for-tests-only';

export type TestGateway = {
  url: string;
  redis: TestRedis;
  /** The stock client. */
  client: Upstash;
  /** Sends a request, with the token unless `headers` override it. */
  send: (path: string, init?: RequestInit) => Promise<{ status: number; body: unknown }>;
  /** Sends a command as a JSON array. */
  command: (...command: unknown[]) => Promise<{ status: number; body: unknown }>;
  streams: EventStreams;
  stop: () => Promise<void>;
};

/**
 * A gateway on a port of its own, in this process, in front of a redis-server of its own.
 * @param redisUrl the gateway's URL of Redis, when it is not the direct one
 */
export async function startGateway(limits: Partial<Limits> = {}, redisUrl?: string): Promise<TestGateway> {
  const redis = await startRedis();
  const log = createLog('gateway-test');
  log.level = 'silent';
  const all = { ...DEFAULT_LIMITS, ...limits };
  const connection = connectRedis(redisUrl ?? redis.url, log, all);
  if (connection.status !== 'ready') await new Promise((resolve) => connection.once('ready', resolve));
  const streams = new EventStreams(connection, all);
  const app = buildApp({
    redis: connection,
    token: TOKEN,
    limits: all,
    log,
    registry: new Registry(),
    streams,
    draining: () => false,
  });
  const { server, port } = await listen(app, '127.0.0.1', 0);
  const url = `http://127.0.0.1:${port}`;
  const send: TestGateway['send'] = async (path, init = {}) => {
    const headers = { Authorization: `Bearer ${TOKEN}`, ...init.headers };
    const response = await fetch(url + path, { ...init, headers });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  return {
    url,
    redis,
    client: new Upstash({ url, token: TOKEN, enableTelemetry: false, retry: false }),
    send,
    command: (...command) => send('/', { method: 'POST', body: JSON.stringify(command) }),
    streams,
    stop: async () => {
      streams.close();
      server.close();
      connection.disconnect();
      await redis.stop();
    },
  };
}
