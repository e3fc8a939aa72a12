import { screenKeys } from '@warmwind/shared/contract/screen';
import { countListeners } from '@warmwind/shared/runtime/node/listeners';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing } from '@warmwind/shared/runtime/node/redis';
import { Registry } from 'prom-client';
import { FramebufferMemory } from '../../../../workers/framebuffer/memory.ts';
import { createScreenMetrics } from '../../../../workers/screen/metrics.ts';
import { Screen } from '../../../../workers/screen/screen.ts';
import { Screenshots } from '../../../../workers/screen/screenshot.ts';
import { ScreenTurns } from '../../../../workers/screen/turns.ts';

/**
 * Runs the screen bridge of one desktop as a process, to measure its CPU: `node bridge.ts <socket> <redis>
 * <id>`.
 */
const [socketPath = '', redisUrl = '', containerId = ''] = process.argv.slice(2);
const log = createLog('bridge');
const redis = connectFailFast(redisUrl, 'bridge', log);
const subscriber = connectQueueing(redisUrl, 'bridge-up', log);
const screen = new Screen({
  containerId,
  socketPath: async () => socketPath,
  redis,
  screenshots: new Screenshots(),
  memory: new FramebufferMemory(),
  userId: 'bench',
  turn: new ScreenTurns().join('bench'),
  metrics: createScreenMetrics(new Registry()),
  log,
});
subscriber.on('smessage', (_channel: string, message: string) => screen.receive(message));
await subscriber.ssubscribe(screenKeys.up(containerId));
setInterval(async () => {
  const [relays = 0] = await countListeners(redis, [screenKeys.down(containerId)]).catch(() => []);
  screen.updateRelays(relays);
}, 1000);
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
