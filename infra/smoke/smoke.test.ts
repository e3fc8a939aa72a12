import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signToken, startTestEdge, type TestEdge } from '../edge/testing.ts';
import { TOKEN } from '../gateway/testing.ts';

let edge: TestEdge;
beforeAll(async () => {
  edge = await startTestEdge({ RELAY_URL: 'http://127.0.0.1:1' });
});
afterAll(() => edge?.stop());

/** The command as an operator types it. */
async function smoke(
  env: Record<string, string>,
  ...args: string[]
): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(import.meta.dirname, 'main.ts'), ...args],
      { env: { ...process.env, ...env }, timeout: 60_000 },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, said: stdout + stderr }),
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
  const { code, said } = await smoke(env, '--edge', edge.url);
  const lines = said.split('\n').map((line) => line.replace(/[:(].*/, '').trim());
  expect(lines.filter((line) => line.startsWith('ok')).length).toBe(7);
  expect(said).toMatch(/^FAILED {4}lets a browser watch/m);
  expect(said).not.toContain('starts a desktop');
  expect([code, said.includes(env.WARMWIND_TOKEN), said.includes(TOKEN)]).toEqual([1, false, false]);
  expect(await edge.gateway.redis.client.keys('ww:{smoke*')).toEqual([]);
});

it('a Redis that refuses us is said to', async () => {
  const env = {
    WARMWIND_TOKEN: await signToken(),
    UPSTASH_REDIS_REST_URL: edge.gateway.url,
    UPSTASH_REDIS_REST_TOKEN: 'another-token-altogether',
    SMOKE_PATIENCE_MS: '500',
  };
  const { code, said } = await smoke(env, '--edge', edge.url);
  expect([code, said]).toEqual([1, expect.stringContaining('FAILED    Redis over REST takes our scripts')]);
});

it('without an edge or a token it says how to call it', async () => {
  const { code, said } = await smoke({ WARMWIND_TOKEN: '', WARMWIND_EDGE: '' });
  expect([code, said]).toEqual([2, expect.stringContaining('--edge <URL>')]);
});
