import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePort } from '../testing/port.ts';
import { startRedis, type TestRedis } from '../testing/redis.ts';
import { waitFor } from '../testing/wait.ts';

const TOKEN = 'a-token-for-the-bench-only';

/** Starts the gateway as a process of its own, as deployed, so that it does not slow the client. */
export async function spawnGateway(): Promise<{
  url: string;
  token: string;
  redis: TestRedis;
  stop: () => Promise<void>;
}> {
  const redis = await startRedis();
  const port = await freePort();
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../local/gateway/main.ts')], {
    env: { PORT: `${port}`, REDIS_URL: redis.url, GATEWAY_TOKEN: TOKEN, LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  await waitFor('the gateway to be ready', () =>
    fetch(`${url}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return {
    url,
    token: TOKEN,
    redis,
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
      await redis.stop();
    },
  };
}
