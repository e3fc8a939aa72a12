import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { createRelay } from '../../../relay/app.ts';
import { readConfig } from '../../../relay/config.ts';
import { freePort } from '../../quality/testing/port.ts';
import { startRedis, type TestRedis } from '../../quality/testing/redis.ts';
import { AUTH_SECRET, startTestEdge, type TestEdge } from './testing.ts';

export type EdgeWithRelay = { edge: TestEdge; realtime: TestRedis; stop: () => Promise<void> };

/** The edge with a real relay. */
export async function startEdgeWithRelay(bindings: Record<string, string>): Promise<EdgeWithRelay> {
  const port = await freePort();
  const realtime = await startRedis();
  const edge = await startTestEdge({ RELAY_URL: `http://127.0.0.1:${port}`, ...bindings });
  const log = createLog('relay-test');
  log.level = 'silent';
  const config = readConfig({
    AUTH_SECRET,
    REDIS_QUEUE_URL: edge.gateway.redis.url,
    REDIS_REALTIME_URL: realtime.url,
    LEDGER_URL: edge.postgres.url,
    CORS_ORIGINS: '*',
  });
  const relay = createRelay(config, log);
  const { server } = await listen(relay.http, '127.0.0.1', port);
  relay.attach(server);
  return {
    edge,
    realtime,
    stop: async () => {
      relay.beginDrain();
      await relay.drain();
      await relay.close();
      await edge.stop();
      await realtime.stop();
    },
  };
}
