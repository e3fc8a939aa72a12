import { appRoutes } from '@bull-board/api/dist/routes.js';
import { keys } from '@warmwind/shared/engine/keys';
import { QUEUES } from '@warmwind/shared/engine/queues';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createBoard } from './board.ts';

const PASSWORD = 'looks-into-queues-0123';
const log = createLog('test');
log.level = 'silent';
let redis: TestRedis;
let prompt: Redis;
let queue: Queue;
let board: ReturnType<typeof createBoard>;

beforeAll(async () => {
  redis = await startRedis();
  prompt = connectFailFast(redis.url, 'test', log);
  await waitFor('a connection', () => prompt.status === 'ready');
  queue = new Queue('ai-inference', { connection: redis.client, prefix: keys.bullmqPrefix('ai-inference') });
  await queue.add('inference', { jobId: 'one' }, { jobId: 'one' });
  board = createBoard([...QUEUES, 'containers-a'], prompt, PASSWORD);
});
afterAll(async () => {
  await board?.close();
  await queue?.close();
  if (prompt) await disconnect(prompt);
  await redis?.stop();
});

const basic = (password: string, user = 'admin') => `Basic ${btoa(`${user}:${password}`)}`;
const ask = (path: string, method = 'GET', authorization = basic(PASSWORD)) =>
  board.app.request(path, { method, headers: { Authorization: authorization } });

test('without the password nothing is shown', async () => {
  for (const path of ['/', '/api/queues', '/static/favicon.ico', '/none']) {
    expect((await board.app.request(path)).status).toBe(401);
    expect((await ask(path, 'GET', basic('wrong'))).status).toBe(401);
    expect((await ask(path, 'GET', basic(PASSWORD, 'other'))).status).toBe(401);
  }
});

test('with the password the page and every queue are shown, including those of this host', async () => {
  const page = await ask('/');
  expect(page.status).toBe(200);
  const text = await page.text();
  expect(text).toContain('Bull');
  const script = /src="([^"]+\.js)"/.exec(text)?.[1] ?? '';
  expect((await ask(new URL(script, 'http://board/').pathname)).status).toBe(200);
  const { queues } = (await (await ask('/api/queues')).json()) as {
    queues: { name: string; readOnlyMode: boolean }[];
  };
  expect(queues.map(({ name }) => name).sort()).toEqual([...QUEUES, 'containers-a'].sort());
  expect(queues.every(({ readOnlyMode }) => readOnlyMode)).toBe(true);
});

test('the page and its style sheets load nothing from another host, and the policy forbids it', async () => {
  const page = await ask('/');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self';");
  const text = await page.text();
  const loaded = [...text.matchAll(/<(?:link|script|img|iframe|base)\b[^>]*?(?:href|src)="([^"]*)"/g)];
  const paths = loaded.map(([, path = '']) => path);
  expect(paths.length).toBeGreaterThan(4);
  expect(paths.filter((path) => /^(https?:)?\/\//.test(path))).toEqual([]);
  for (const path of paths.filter((name) => name.endsWith('.css'))) {
    const style = await ask(new URL(path, 'http://board/').pathname);
    expect(style.status).toBe(200);
    expect(await style.text()).not.toMatch(/(?:@import|url\()\s*["']?(?:https?:)?\/\//);
  }
});

test('no route changes anything', async () => {
  const before = await redis.client.dbsize();
  const changing = appRoutes.api.flatMap(({ method, route }) =>
    [method]
      .flat()
      .flatMap((one) => (one === 'get' ? [] : [route].flat().map((path) => [one, path] as const))),
  );
  expect(changing.length).toBeGreaterThan(10);
  for (const [method, route] of changing) {
    const path = route
      .replace(':queueName', 'ai-inference')
      .replace(':jobId', 'one')
      .replace(':queueStatus', 'waiting')
      .replace(/:\w+/g, 'x');
    expect((await ask(path, method.toUpperCase())).status).toBe(405);
  }
  expect(await queue.getJob('one')).toBeDefined();
  expect(await queue.isPaused()).toBe(false);
  expect(await redis.client.dbsize()).toBe(before);
});
