import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { onShutdown } from '@warmwind/shared/runtime/node/shutdown';
import { Registry } from 'prom-client';
import { buildApp } from './app.ts';
import { readConfig } from './config.ts';
import type { Loaded } from './loaded.ts';
import { Pool } from './pool.ts';
import { noEngine } from './remedy.ts';

/** The longest that a client may take to send its request, and to take the end of its answer, ms. */
const RECEIVE_MS = 15_000;
const STALLED_MS = 60_000;
const MAX_CONNECTIONS = 1024;
/** How long running answers may continue after SIGTERM, ms. */
const FINISH_MS = 15_000;
/** EX_CONFIG of sysexits: starting it again would not help. */
const CANNOT_RUN = 78;

const config = readConfig(process.env);
const log = createLog('model-server');
const over = new AbortController();
let loaded: Loaded | undefined;
let draining = false;

const app = buildApp({
  loaded: () => loaded,
  log,
  registry: new Registry(),
  draining: () => draining,
  over: over.signal,
});
const { server, port } = await listen(app, config.BIND, config.PORT);
server.requestTimeout = RECEIVE_MS;
server.headersTimeout = RECEIVE_MS;
server.maxConnections = MAX_CONNECTIONS;
server.setTimeout(STALLED_MS, (socket) => {
  if (socket.writableLength > 0) socket.destroy();
});
log.info({ bind: config.BIND, port }, 'listening');

onShutdown(log, () => {
  draining = true;
}, [
  { name: 'answers', withinMs: FINISH_MS, run: async () => loaded?.pool.idle() },
  {
    name: 'connections',
    withinMs: 3000,
    run: () => {
      over.abort();
      setInterval(() => server.closeIdleConnections(), 50);
      return new Promise((resolve) => server.close(resolve));
    },
  },
]);

try {
  // Loaded here, so that a machine without llama.cpp reports the remedy in one line.
  const { Model } = await import('./model.ts').catch(() => Promise.reject(noEngine()));
  const model = await Model.load(config);
  const bounds = { waiting: config.MODEL_QUEUE, withinMs: config.MODEL_QUEUE_MS };
  loaded = { model, pool: new Pool(model.sequences, bounds) };
  log.info({ model: model.id, contextSize: model.contextSize, parallel: model.sequences.length }, 'serving');
} catch (error) {
  log.fatal(error instanceof Error ? error.message : String(error));
  log.flush?.();
  process.exitCode = CANNOT_RUN;
  server.close();
  server.closeAllConnections();
}
