import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../quality/testing/redis.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { TOKEN } from './testing.ts';

let redis: TestRedis;
const children: ChildProcess[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await redis.stop();
});

function startProcess(env: Record<string, string>) {
  const child = spawn(process.execPath, [new URL('main.ts', import.meta.url).pathname], {
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let output = '';
  const lines: Record<string, unknown>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const logged = (msg: string) => waitFor(`"${msg}"`, () => lines.find((line) => line.msg === msg));
  return { child, exit, logged, output: () => output };
}

test('on SIGTERM no new request is taken, the one in flight is answered, streams end, and the process exits 0', async () => {
  const { child, exit, logged, output } = startProcess({ REDIS_URL: redis.url, GATEWAY_TOKEN: TOKEN });
  const { port } = await logged('listening');
  const url = `http://127.0.0.1:${port}`;
  const set = (key: string) =>
    fetch(`${url}/set/${key}/1`, { headers: { Authorization: `Bearer ${TOKEN}` } });
  await waitFor('ready', async () => (await fetch(`${url}/health/ready`)).status === 200);
  expect(await (await set('before')).json()).toEqual({ result: 'OK' });

  const headers = { Authorization: `Bearer ${TOKEN}`, Accept: 'text/event-stream' };
  const stream = await fetch(`${url}/subscribe/channel`, { headers });
  expect(stream.status).toBe(200);

  redis.freeze();
  const inFlight = set('in-flight');
  await waitFor('the request to be in flight', async () => (await fetch(`${url}/health/live`)).ok);
  child.kill('SIGTERM');
  await logged('draining');
  await expect(set('late')).rejects.toThrow();
  redis.thaw();
  const answer = await inFlight;
  expect(answer.headers.get('connection')).toBe('close');
  expect(await answer.json()).toEqual({ result: 'OK' });
  expect(await exit).toBe(0);
  expect(await stream.text()).toBe('data: subscribe,channel,1\n\n');
  expect(await redis.client.mget('in-flight', 'late')).toEqual(['1', null]);
  expect(output()).not.toContain(TOKEN);
});

test('without its settings the process names them, shows no value, and does not start', async () => {
  const { exit, output } = startProcess({
    REDIS_URL: 'http://user:very-secret@host',
    GATEWAY_TOKEN: 'short-secret',
  });
  expect(await exit).toBe(1);
  expect(output()).toMatch(/REDIS_URL/);
  expect(output()).toMatch(/GATEWAY_TOKEN/);
  expect(output()).not.toMatch(/very-secret|short-secret/);
});
