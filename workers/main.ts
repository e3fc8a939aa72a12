import { listen, probeRoutes } from '@warmwind/shared/node/health';
import { createLog } from '@warmwind/shared/node/log';
import { onShutdown } from '@warmwind/shared/node/shutdown';
import { createApp } from './app.ts';
import { readConfig } from './config.ts';

const config = readConfig(process.env);
const log = createLog('workers', { host: config.WORKER_HOST });
const app = createApp(config, log);

let draining = false;
const probes = probeRoutes(app.probes, () => draining);
const { server, port } = await listen(probes, config.BIND, config.PORT);

onShutdown(log, () => {
  draining = true;
}, [
  ...app.drain,
  {
    name: 'http',
    withinMs: 1000,
    run: async () => {
      server.close();
      server.closeAllConnections();
    },
  },
]);

await app.start();
log.info({ port }, 'listening');
