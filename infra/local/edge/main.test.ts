import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../../quality/testing/port.ts';
import { waitFor } from '../../quality/testing/wait.ts';

let child: ChildProcess;
let config: string;

afterEach(async () => {
  child.kill('SIGKILL');
  await rm(config, { force: true });
});

async function start(variables: Record<string, string> = {}): Promise<string> {
  const port = await freePort();
  config = join(import.meta.dirname, `../../../edge/dist/worker-${port}.capnp`);
  child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    env: {
      ...process.env,
      PORT: `${port}`,
      UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1',
      UPSTASH_REDIS_REST_TOKEN: 'token',
      AUTH_SECRET: 'a-secret-for-tests-only-0123456789abcdef',
      WEBHOOK_SECRET: 'signs-webhooks-of-tests-0123456789',
      RELAY_URL: 'http://127.0.0.1:1',
      LEDGER_URL: 'postgres://user:a-password@127.0.0.1:1/ledger',
      ...variables,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return `http://127.0.0.1:${port}`;
}
const lives = (url: string) =>
  fetch(`${url}/health/live`).then(
    ({ ok }) => ok,
    () => false,
  );

test.each([
  ['SIGTERM', [0, null]],
  ['SIGKILL', [null, 'SIGKILL']],
] as const)('%s ends the process and the edge with it', async (signal, ending) => {
  const url = await start();
  await waitFor('the edge to live', () => lives(url), 25_000);
  const exit = once(child, 'exit');
  child.kill(signal);
  expect(await exit).toEqual(ending);
  expect(await lives(url)).toBe(false);
});

test('no other user can read the configuration: it holds the password of the ledger', async () => {
  const url = await start();
  await waitFor('the edge to live', () => lives(url), 25_000);
  expect((await stat(config)).mode & 0o777).toBe(0o600);
});

test('does not start with a wrong configuration, and names the variable', async () => {
  await start({ AUTH_SECRET: 'short' });
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  const [code] = await once(child, 'exit');
  expect(code).not.toBe(0);
  expect(errors).toContain('AUTH_SECRET: use at least 32 characters');
});
