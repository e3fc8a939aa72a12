import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { freePort } from '../../testing/port.ts';
import { waitFor } from '../../testing/wait.ts';
import { startStores } from '../relay/stores.ts';
import type { Side } from './crowd.ts';
import { cpuMs } from './desktop.ts';

/**
 * Starts the complete path of a desktop's screen: bridge, Redis and a relay node, each a process of its own.
 */
export async function startOurs(socketPath: string): Promise<Side> {
  const stores = await startStores();
  const bridge = fork(new URL('bridge.ts', import.meta.url), [
    socketPath,
    stores.realtime.url,
    stores.containerId,
  ]);
  const port = await freePort();
  // The kernel ends it with the process that started it.
  const relay = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      process.execPath,
      fileURLToPath(new URL('../../../../relay/main.ts', import.meta.url)),
    ],
    {
      env: { ...process.env, ...stores.env, PORT: `${port}`, LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  await once(bridge, 'message');
  const url = `http://127.0.0.1:${port}`;
  await waitFor(
    'the relay',
    () =>
      fetch(`${url}/health/live`).then(
        ({ ok }) => ok,
        () => false,
      ),
    60_000,
  );
  const redis = await Promise.all([pidOf(stores.queue.client), pidOf(stores.realtime.client)]);
  return {
    to: async () => ({ relay: url, token: await stores.ticket(), containerId: stores.containerId }),
    cpuMs: async () => {
      const [bridgeMs = 0, relayMs = 0, ...redisMs] = await Promise.all(
        [bridge.pid ?? 0, relay.pid ?? 0, ...redis].map(cpuMs),
      );
      return { bridge: bridgeMs, relay: relayMs, redis: redisMs.reduce((sum, ms) => sum + ms, 0) };
    },
    stop: async () => {
      const gone = [bridge, relay].map((child) => once(child, 'exit'));
      bridge.disconnect();
      relay.kill('SIGTERM');
      await Promise.all(gone);
      await stores.stop();
    },
  };
}

const pidOf = async (client: Redis): Promise<number> =>
  Number(/process_id:(\d+)/.exec(await client.info('server'))?.[1]);
