import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRelay } from '../../../relay/app.ts';
import { readConfig } from '../../../relay/config.ts';
import { AUTH_SECRET, signToken, startTestEdge, type TestEdge } from '../../local/edge/testing.ts';
import { TOKEN } from '../../local/gateway/testing.ts';
import { freePort } from '../../quality/testing/port.ts';
import { startRedis, type TestRedis } from '../../quality/testing/redis.ts';
import { failed } from './advice.ts';

/** An edge whose relay is started by the tests that want one; no worker is. */
let edge: TestEdge;
let realtime: TestRedis;
let relayPort: number;
beforeAll(async () => {
  relayPort = await freePort();
  [edge, realtime] = await Promise.all([
    startTestEdge({ RELAY_URL: `http://127.0.0.1:${relayPort}` }),
    startRedis(),
  ]);
});
afterAll(async () => {
  await Promise.all([edge?.stop(), realtime?.stop()]);
});

/** Runs the command as an operator does. */
async function smoke(
  env: Record<string, string>,
  ...args: string[]
): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(import.meta.dirname, 'main.ts'), ...args],
      { env: { ...process.env, ...env }, timeout: 60_000 },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
    );
  });
}

it('asks Redis over REST and the edge, and stops at the first thing of the trace that fails', async () => {
  const env = {
    WARMWIND_TOKEN: await signToken(),
    UPSTASH_REDIS_REST_URL: edge.gateway.url,
    UPSTASH_REDIS_REST_TOKEN: TOKEN,
    SMOKE_PATIENCE_MS: '500',
  };
  const { code, output } = await smoke(env, '--edge', edge.url);
  const lines = output.split('\n').map((line) => line.replace(/[:(].*/, '').trim());
  expect(lines.filter((line) => line.startsWith('ok')).length).toBe(7);
  expect(output).toMatch(/^FAILED {4}lets a browser watch/m);
  expect(output).not.toContain('starts a desktop');
  expect([code, output.includes(env.WARMWIND_TOKEN), output.includes(TOKEN)]).toEqual([1, false, false]);
  expect(await edge.gateway.redis.client.keys('ww:{smoke*')).toEqual([]);
});

it('a Redis that refuses the token is reported', async () => {
  const env = {
    WARMWIND_TOKEN: await signToken(),
    UPSTASH_REDIS_REST_URL: edge.gateway.url,
    UPSTASH_REDIS_REST_TOKEN: 'another-token-altogether',
    SMOKE_PATIENCE_MS: '500',
  };
  const { code, output } = await smoke(env, '--edge', edge.url);
  expect([code, output]).toEqual([1, expect.stringContaining('FAILED    Redis over REST takes our scripts')]);
});

it('without an edge or a token it prints its usage', async () => {
  const { code, output } = await smoke({ WARMWIND_TOKEN: '', WARMWIND_EDGE: '' });
  expect([code, output]).toEqual([2, expect.stringContaining('--edge <URL>')]);
});

/** The lines of failed checks. */
const failures = (output: string) => output.split('\n').filter((line) => line.startsWith('FAILED'));

it('an edge that is down is reported with the next step', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const { code, output } = await smoke({ WARMWIND_TOKEN: await signToken() }, '--edge', url);
  expect([code, failures(output)]).toEqual([
    1,
    [
      `FAILED    lives and is ready: ${url}: nothing listens there. Check that it is started, and its port (ECONNREFUSED)`,
    ],
  ]);
});

it.each([
  ['expired', { exp: 1_700_000_000 }, 'the token expired at 2023-11-14T22:13:20.000Z: use tokens.user'],
  [
    'a ticket',
    { aud: 'warmwind-relay' },
    'the token is for "warmwind-relay" and not for the API: use tokens.user',
  ],
])('a token that is %s is not even tried', async (_, claims, words) => {
  const { code, output } = await smoke({ WARMWIND_TOKEN: await signToken(claims) }, '--edge', edge.url);
  expect([code, output]).toEqual([2, expect.stringContaining(words)]);
});

it('a token that another secret has signed is reported with the source of a valid one', async () => {
  const token = await signToken({}, 'another-secret-0123456789-0123456789');
  const { code, output } = await smoke({ WARMWIND_TOKEN: token }, '--edge', edge.url);
  expect(failures(output)).toEqual([
    expect.stringContaining('does not know this token’s signature: use tokens.user'),
  ]);
  expect([code, output.includes(token)]).toEqual([1, false]);
});

it('without a worker it reports that none took the job', async () => {
  const log = createLog('relay-test');
  log.level = 'silent';
  const stores = { REDIS_QUEUE_URL: edge.gateway.redis.url, REDIS_REALTIME_URL: realtime.url };
  const relay = createRelay(readConfig({ AUTH_SECRET, LEDGER_URL: edge.postgres.url, ...stores }), log);
  const { server } = await listen(relay.http, '127.0.0.1', relayPort);
  relay.attach(server);
  try {
    const env = { WARMWIND_TOKEN: await signToken(), SMOKE_PATIENCE_MS: '3000' };
    const { code, output } = await smoke(env, '--edge', edge.url);
    expect([code, failures(output)]).toEqual([
      1,
      [expect.stringMatching(/starts, with live events: .*(no worker took it|no event arrived)/)],
    ]);
  } finally {
    relay.beginDrain();
    await relay.drain();
    await relay.close();
  }
});

it('without the image of a desktop it prints how to build it', () => {
  expect(failed({ error: { code: 'image_missing', message: '…' } })).toMatch(
    /^image_missing: .*npm run image/,
  );
});
