import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { emptyStores } from '../../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}' });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

const start = async (user = 'ada') => (await edge.call(user, 'POST', '/containers/start')).body;
const get = (path: string, user = 'ada') => edge.call(user, 'GET', path);

describe('GET /jobs/:id', () => {
  test('200: a job as in its record', async () => {
    const { jobId, containerId } = await start();
    expect((await get(`/jobs/${jobId}`)).body).toEqual({
      id: jobId,
      kind: 'container.start',
      state: 'queued',
      progress: 0,
      run: 1,
      attemptsMade: 0,
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      containerId,
    });
    const error = { code: 'lost', message: 'the host is gone', retryable: true };
    await edge.gateway.redis.client.hset(keys.job('ada', String(jobId)), {
      state: 'failed',
      progress: 30,
      error: JSON.stringify(error),
    });
    expect((await get(`/jobs/${jobId}`)).body).toMatchObject({ state: 'failed', progress: 30, error });
  });

  test("404: another user's job, an unknown id and an invalid id", async () => {
    const { jobId } = await start();
    expect((await get(`/jobs/${jobId}`, 'bob')).status).toBe(404);
    expect((await get('/jobs/none')).status).toBe(404);
    expect((await get('/jobs/a%7Db')).status).toBe(404);
  });
});

describe('GET /jobs', () => {
  test("200: the caller's jobs, by kind and state, page by page", async () => {
    const { containerId } = await start();
    await start();
    await start('bob');
    const { jobId } = (await edge.call('ada', 'POST', `/containers/${containerId}/stop`)).body;
    expect((await get('/jobs')).body.items).toHaveLength(3);
    expect((await get('/jobs?kind=container.stop')).body.items).toMatchObject([{ id: jobId }]);
    expect((await get('/jobs?state=failed')).body.items).toEqual([]);

    const seen: string[] = [];
    let cursor: unknown = '';
    while (cursor !== null) {
      const { body } = await get(`/jobs?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...(body.items as { id: string }[]).map(({ id }) => id));
      cursor = body.nextCursor;
    }
    expect(new Set(seen).size).toBe(3);
    expect(seen).toHaveLength(3);
  });

  test.each(['kind=nothing', 'state=requested', 'limit=-1', 'cursor='])('400: ?%s', async (query) => {
    expect((await get(`/jobs?${query}`)).status).toBe(400);
  });
});
