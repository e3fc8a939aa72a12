import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { emptyStores, waiting } from '../testing/stores.ts';

const MAX_WAITING = 4;
let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    MAX_WAITING: `${MAX_WAITING}`,
  });
});
afterAll(() => edge?.stop());
beforeEach(async () => {
  await emptyStores(edge);
  await waitFor('room', async () => (await infer('setup')).status === 202);
  await emptyStores(edge);
  // The answer updates the edge's depth of the queue.
  await infer('setup');
  await emptyStores(edge);
});

const infer = (user: string, headers = {}) =>
  edge.call(user, 'POST', '/inference', { body: { model: 'm', prompt: 'p' }, headers });
const redis = () => edge.gateway.redis.client;
const list = (name: string) => `${keys.bullmqPrefix('ai-inference')}:ai-inference:${name}`;

test('a full queue accepts no job, and nothing is recorded; stops and other queues continue', async () => {
  const { jobId, containerId } = (await edge.call('ada', 'POST', '/containers/start')).body;
  for (let i = 0; i < MAX_WAITING; i += 1) expect((await infer('ada')).status).toBe(202);
  edge.trips();
  const answer = await infer('bob', { 'Idempotency-Key': 'k' });
  expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
  expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThanOrEqual(1);
  expect(await waiting(edge, 'ai-inference')).toHaveLength(MAX_WAITING);
  expect((await redis().keys('ww:{bob}:*')).filter((key) => !key.includes(':limit:'))).toEqual([]);
  expect(await edge.postgres.sql`select * from jobs where user_id = 'bob'`).toEqual([]);
  expect(await edge.postgres.sql`select * from idempotency_keys`).toEqual([]);

  expect((await edge.call('ada', 'POST', `/containers/${containerId}/stop`)).status).toBe(202);
  expect((await edge.call('bob', 'POST', '/containers/start')).status).toBe(202);

  await redis().hset(keys.job('ada', String(jobId)), 'state', 'failed');
  expect((await edge.call('ada', 'POST', `/jobs/${jobId}/retry`)).status).toBe(202);
  const [open] = await waiting(edge, 'ai-inference');
  await redis().hset(keys.job('ada', String(open)), 'state', 'failed');
  expect((await edge.call('ada', 'POST', `/jobs/${open}/retry`)).status).toBe(503);
});

test('delayed jobs count as waiting, and active ones do not', async () => {
  for (let i = 0; i < MAX_WAITING - 1; i += 1) await infer('ada');
  await redis().zadd(list('delayed'), 1, 'x');
  await infer('ada');
  expect((await infer('ada')).status).toBe(503);
});

test('a full queue stays full after a pause without requests, and accepts jobs again once it has room', async () => {
  for (let i = 0; i < MAX_WAITING; i += 1) await infer('ada');
  await redis().zadd(list('prioritized'), 1, 'x', 2, 'y');
  // Longer than a reading of the depth is valid.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  expect((await infer('ada')).status).toBe(503);
  await redis().del(list('prioritized'));
  await waitFor('room', async () => (await infer('ada')).status === 202);
});
