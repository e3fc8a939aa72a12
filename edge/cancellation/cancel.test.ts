import { CANCELLED_CHANNEL, keys } from '@warmwind/shared/engine/keys';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { containers, jobs } from '@warmwind/shared/engine/ledger/schema';

import { drizzle } from 'drizzle-orm/postgres-js';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { emptyStores, forget } from '../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    SUBMIT_TIMEOUT_MS: '2000',
  });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

const redis = () => edge.gateway.redis.client;
const start = async () =>
  (await edge.call('ada', 'POST', '/containers/start')).body as Record<string, string>;
const infer = async () => {
  const body = { model: 'm', prompt: 'p' };
  return (await edge.call('ada', 'POST', '/inference', { body })).body as Record<string, string>;
};
const cancel = (id: unknown, user = 'ada') => edge.call(user, 'DELETE', `/jobs/${id}`);
const job = async (id: unknown) => (await edge.call('ada', 'GET', `/jobs/${id}`)).body;
const record = (id: unknown) => redis().hgetall(keys.job('ada', String(id)));
const rows = () => drizzle(edge.postgres.sql).select().from(jobs);
const markers = () => redis().zrange(keys.cancellations(), '0', '-1');

describe('DELETE /jobs/:id', () => {
  test('202: the job has ended in Redis and in the ledger, and workers are notified and can look it up', async () => {
    const { jobId = '', containerId = '' } = await start();
    const listener = new Redis(edge.gateway.redis.url);
    const received: string[] = [];
    listener.on('message', (_channel, message) => received.push(message));
    await listener.subscribe(CANCELLED_CHANNEL);
    await redis().hset(keys.job('ada', jobId), 'waiting', '{"reason":"memory","position":3}');
    const answer = await cancel(jobId);
    expect([answer.status, answer.body]).toEqual([202, { jobId }]);
    expect(await record(jobId)).not.toHaveProperty('waiting');
    expect(await job(jobId)).toMatchObject({ state: 'cancelled', finishedAt: expect.any(String) });
    expect(await rows()).toEqual([jobRow('ada', await record(jobId))]);
    const [desktop] = await drizzle(edge.postgres.sql).select().from(containers);
    expect(desktop).toEqual(containerRow('ada', await redis().hgetall(keys.container('ada', containerId))));
    expect(desktop?.state).toBe('stopping');
    expect(await markers()).toEqual([`ada/${jobId}`]);
    await waitFor('the message', () => received.length === 1);
    expect(JSON.parse(received[0] ?? '')).toEqual({
      userId: 'ada',
      jobId,
      run: 1,
      kind: 'container.start',
      containerId,
    });
    listener.disconnect();
  });

  test('202: a job that runs, which no longer counts against the quota', async () => {
    const { jobId } = await infer();
    await redis().hset(keys.job('ada', String(jobId)), 'state', 'active', 'fence', '1');
    expect((await cancel(jobId)).status).toBe(202);
    expect(await redis().zcard(keys.openJobs('ada'))).toBe(0);
    expect(await rows()).toMatchObject([{ state: 'cancelled', fence: 1 }]);
  });

  test('from ten clients at once cancels once', async () => {
    const { jobId } = await infer();
    const answers = await Promise.all(Array.from({ length: 10 }, () => cancel(jobId)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([202, ...Array(9).fill(409)]);
    const ends = await edge.postgres.sql`select * from job_changes where state = 'cancelled'`;
    expect(ends).toHaveLength(1);
    expect(await markers()).toEqual([`ada/${jobId}`]);
  });

  test('202: a job that only the ledger has, and workers can look it up', async () => {
    const { jobId } = await start();
    await forget(edge);
    expect((await cancel(jobId)).status).toBe(202);
    expect(await record(jobId)).toMatchObject({ state: 'cancelled', kind: 'container.start' });
    expect(await rows()).toMatchObject([{ state: 'cancelled' }]);
    expect(await drizzle(edge.postgres.sql).select().from(containers)).toMatchObject([{ state: 'stopping' }]);
  });

  test.each(['completed', 'failed', 'cancelled', 'timed_out'])('409: a job that is %s', async (state) => {
    const { jobId } = await infer();
    await redis().hset(keys.job('ada', String(jobId)), 'state', state);
    const answer = await cancel(jobId);
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect(answer.body.message).toContain(state);
  });

  test('409: a job that had ended before Redis lost it, or that has ended in the ledger alone', async () => {
    const { jobId } = await infer();
    await edge.postgres.sql`update jobs set state = 'completed', finished_at = now()`;
    expect((await cancel(jobId)).body.message).toContain('completed');
    await forget(edge);
    expect((await cancel(jobId)).body.message).toContain('completed');
    expect(await rows()).toMatchObject([{ state: 'completed' }]);
  });

  test('409: a stop', async () => {
    const { containerId } = await start();
    const { jobId } = (await edge.call('ada', 'POST', `/containers/${containerId}/stop`)).body;
    const answer = await cancel(jobId);
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect((await job(jobId)).state).toBe('queued');
  });

  test("404: another user's job, an unknown id and an invalid id", async () => {
    const { jobId } = await infer();
    expect((await cancel(jobId, 'bob')).status).toBe(404);
    expect((await cancel('none')).status).toBe(404);
    expect((await cancel('a%7Db')).status).toBe(404);
    expect((await job(jobId)).state).toBe('queued');
    await waitFor('no marker', async () => (await markers()).length === 0);
  });

  test.each([
    ['gone', () => edge.postgres.kill(), () => edge.postgres.restart()],
    ['frozen', () => edge.postgres.freeze(), () => edge.postgres.thaw()],
  ])('503: while the ledger is %s; the change waits for it', async (_what, interrupt, restore) => {
    const { jobId } = await infer();
    await interrupt();
    let answer: Awaited<ReturnType<typeof cancel>>;
    try {
      answer = await cancel(jobId);
    } finally {
      await restore();
    }
    expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
    expect(await redis().xlen(keys.changes('ada'))).toBe(1);
    expect(await redis().zscore(keys.changedUsers(), 'ada')).toBe('1');
    await waitFor('the edge to serve again', async () => {
      const { status } = await edge.call('ada', 'POST', '/inference', { body: { model: 'm', prompt: 'p' } });
      return status === 202;
    });
  });

  test('503: while Redis does not answer', async () => {
    const { jobId } = await infer();
    edge.gateway.redis.freeze();
    try {
      expect((await cancel(jobId)).status).toBe(503);
    } finally {
      edge.gateway.redis.thaw();
    }
  });
});

test('without a ledger a job is cancelled in Redis alone, and no change is kept', async () => {
  const alone = await startTestEdge({}, { ledger: false });
  try {
    const { jobId } = (await alone.call('ada', 'POST', '/containers/start')).body;
    expect((await alone.call('ada', 'DELETE', `/jobs/${jobId}`)).status).toBe(202);
    expect((await alone.call('ada', 'GET', `/jobs/${jobId}`)).body.state).toBe('cancelled');
    const { client } = alone.gateway.redis;
    expect(await client.exists(keys.changes('ada'), keys.changedUsers())).toBe(0);
    expect((await alone.call('ada', 'POST', `/jobs/${jobId}/retry`)).body).toMatchObject({ run: 2 });
    expect(await client.exists(keys.changes('ada'))).toBe(0);
  } finally {
    await alone.stop();
  }
});
