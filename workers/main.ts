import { listen, probeRoutes } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { onShutdown } from '@warmwind/shared/runtime/node/shutdown';
import { createApp } from './app.ts';
import { readConfig } from './config.ts';

const config = readConfig(process.env);
const log = createLog('workers', { host: config.WORKER_HOST });
const app = createApp(config, log);

let draining = false;
const probes = probeRoutes(app.probes, () => draining);
const { server, port } = await listen(probes, config.BIND, config.PORT);
const admin =
  app.board && config.ADMIN_PORT !== undefined
    ? await listen(app.board, config.BIND, config.ADMIN_PORT)
    : undefined;

onShutdown(log, () => {
  draining = true;
}, [
  ...app.drain,
  {
    name: 'http',
    withinMs: 1000,
    run: async () => {
      for (const open of [server, admin?.server]) {
        open?.close();
        open?.closeAllConnections();
      }
    },
  },
]);

await app.start();
log.info({ port, admin: admin?.port }, 'listening');
