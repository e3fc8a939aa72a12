import { readEnv } from '@warmwind/shared/runtime/env';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { disconnect } from '@warmwind/shared/runtime/node/redis';
import { onShutdown } from '@warmwind/shared/runtime/node/shutdown';
import { Registry } from 'prom-client';
import { buildApp } from './app.ts';
import { Config, DEFAULT_LIMITS } from './config.ts';
import { connectRedis } from './execute.ts';
import { EventStreams } from './streams.ts';

/** The longest that a client may take to send its request, ms. */
const RECEIVE_MS = 15_000;
const MAX_CONNECTIONS = 4096;

const config = readEnv(Config, process.env);
const limits = DEFAULT_LIMITS;
const log = createLog('gateway');
const redis = connectRedis(config.REDIS_URL, log, limits);

let draining = false;
const streams = new EventStreams(redis, limits);
const app = buildApp({
  redis,
  token: config.GATEWAY_TOKEN,
  limits,
  log,
  registry: new Registry(),
  streams,
  draining: () => draining,
});

const { server, port } = await listen(app, config.BIND, config.PORT);
server.requestTimeout = RECEIVE_MS;
server.headersTimeout = RECEIVE_MS;
server.maxConnections = MAX_CONNECTIONS;
log.info({ bind: config.BIND, port }, 'listening');

onShutdown(log, () => {
  draining = true;
  streams.close();
}, [
  {
    name: 'requests',
    withinMs: 2 * limits.commandMs + RECEIVE_MS,
    run: () => new Promise((resolve) => server.close(resolve)),
  },
  { name: 'redis', withinMs: 2000, run: () => disconnect(redis) },
]);
