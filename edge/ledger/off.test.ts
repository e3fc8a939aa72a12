import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waiting } from '../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"user": [], "containers.start": []}' }, { ledger: false });
});
afterAll(() => edge?.stop());

test('LEDGER=off: jobs are accepted and listed in Redis alone, and lost with it', async () => {
  const once = { headers: { 'Idempotency-Key': 'k' } };
  const first = await edge.call('ada', 'POST', '/containers/start', once);
  expect(first.status).toBe(202);
  expect((await edge.call('ada', 'POST', '/containers/start', once)).body).toEqual(first.body);
  const { jobId, containerId } = first.body;
  expect(await waiting(edge)).toEqual([jobId]);
  const stop = await edge.call('ada', 'POST', `/containers/${containerId}/stop`);
  expect(stop.status).toBe(202);

  const list = await edge.call('ada', 'GET', '/jobs?limit=1');
  expect(list.body).toMatchObject({ items: [{}], nextCursor: expect.any(String) });
  expect(list.body.incomplete).toBeUndefined();
  expect((await edge.call('ada', 'GET', '/jobs/unknown')).status).toBe(404);
  await edge.gateway.redis.client.del(keys.job('ada', String(jobId)));
  expect((await edge.call('ada', 'GET', `/jobs/${jobId}`)).status).toBe(404);
});

test('LEDGER=off: readiness does not check a ledger, and usage explains why there is none', async () => {
  const { status, body } = await edge.call(undefined, 'GET', '/health/ready');
  expect(status).toBe(200);
  expect(Object.keys(body.details as object)).toEqual(['redisQueue', 'queues']);
  const usage = await edge.call('ada', 'GET', '/usage');
  expect([usage.status, usage.body.code]).toEqual([404, 'not_found']);
  expect(usage.body.message).toContain('LEDGER=off');
});
