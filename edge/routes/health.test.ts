import { Health } from '@warmwind/shared/runtime/health';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    LIMITER_TIMEOUT_MS: '300',
    SUBMIT_TIMEOUT_MS: '1000',
    BACKPRESSURE_ABOVE: '1',
  });
});
afterAll(() => edge?.stop());

const get = (path: string) => edge.call('ada', 'GET', path);
const start = (key: string) =>
  edge.call('ada', 'POST', '/containers/start', { headers: { 'Idempotency-Key': key } });

describe('health', () => {
  test('200: live and ready, in the form of every service', async () => {
    const live = await get('/health/live');
    expect([live.status, Health.parse(live.body).status]).toEqual([200, 'ok']);
    const ready = await get('/health/ready');
    expect([ready.status, Health.parse(ready.body).status]).toEqual([200, 'ok']);
    expect(ready.body.info).toMatchObject({ redisQueue: { status: 'up' }, ledger: { status: 'up' } });
  });

  test('readiness reports backpressure by all waiting jobs, delayed and prioritized included, and stays ready', async () => {
    await Promise.all([start('a'), start('b')]);
    const details = await waitFor('the queue to be seen', async () => {
      const { status, body } = await get('/health/ready');
      expect(status).toBe(200);
      const seen = body.details as { queues: { containers: { waiting: number } } };
      return seen.queues.containers.waiting === 2 && seen;
    });
    expect(details).toMatchObject({
      queues: {
        containers: { waiting: 2, active: 0, delayed: 0, failed: 0, backpressure: true },
        cleanup: { waiting: 0, backpressure: false },
      },
    });
  });
});

const outages: [string, () => Promise<void> | void, () => Promise<void> | void][] = [
  ['is gone', () => edge.gateway.redis.kill(), () => edge.gateway.redis.restart()],
  ['does not answer', () => edge.gateway.redis.freeze(), () => edge.gateway.redis.thaw()],
];

describe.each(outages)('while Redis %s', (_what, interrupt, restore) => {
  beforeAll(() => interrupt());
  afterAll(() => restore());

  test('503: the outcome of submissions is unknown, and the answer explains how to retry', async () => {
    const answer = await start('outage');
    expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
    expect(answer.body.message).toContain('Idempotency-Key');
    expect(answer.body.retryAfterMs).toBeGreaterThan(0);
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThanOrEqual(1);
  });

  test.each(['/containers/x', '/jobs/x', '/limits'])('503: GET %s', async (path) => {
    expect((await get(path)).status).toBe(503);
  });

  test('503: a ticket', async () => {
    expect((await edge.call('ada', 'POST', '/realtime/token')).status).toBe(503);
  });

  test('routes that need no Redis still answer: the limiter fails open for reads and clients without a token', async () => {
    expect((await get('/no-such-route')).status).toBe(404);
    expect((await edge.call(undefined, 'GET', '/jobs')).status).toBe(401);
    expect((await get('/health/live')).status).toBe(200);
  });

  test('503: readiness, which names the failed check', async () => {
    const body = await waitFor('ready to say so', async () => {
      const answer = await get('/health/ready');
      return answer.status === 503 && answer.body;
    });
    expect(body.error).toMatchObject({ redisQueue: { status: 'down' }, queues: { status: 'down' } });
  });
});

test('readiness does not query the stores on each request', async () => {
  await waitFor('ready', async () => (await get('/health/ready')).status === 200);
  edge.trips();
  const asked = 60;
  for (let n = 0; n < asked; n++) expect((await get('/health/ready')).status).toBe(200);
  expect(edge.trips()).toBeLessThan(2 * asked);
});

test('the edge recovers with Redis automatically, and a submission that was unknown runs once', async () => {
  const answer = await waitFor('a start to be accepted', async () => {
    const tried = await start('outage');
    return tried.status === 202 && tried;
  });
  const again = await start('outage');
  expect(again.body).toEqual(answer.body);
  await waitFor('ready to say so', async () => (await get('/health/ready')).status === 200);
});
