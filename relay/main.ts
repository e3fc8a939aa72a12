import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { onShutdown } from '@warmwind/shared/runtime/node/shutdown';
import { createRelay } from './app.ts';
import { readConfig } from './config.ts';

const config = readConfig(process.env);
const log = createLog('relay', { node: config.NODE_ID });
const relay = createRelay(config, log);
const { server, port } = await listen(relay.http, config.BIND, config.PORT);
relay.attach(server);
log.info({ port }, 'listening');

onShutdown(log, relay.beginDrain, [
  { name: 'connections', withinMs: config.SHUTDOWN_TIMEOUT_MS * 0.5, run: relay.drain },
  { name: 'close', withinMs: config.SHUTDOWN_TIMEOUT_MS * 0.3, run: relay.close },
]);
