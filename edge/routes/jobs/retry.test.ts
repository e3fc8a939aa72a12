import { keys } from '@warmwind/shared/engine/keys';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { containers, jobs } from '@warmwind/shared/engine/ledger/schema';
import { drizzle } from 'drizzle-orm/postgres-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { emptyStores, forget, waiting } from '../../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    QUOTAS: '{"jobs": 3, "desktops": 2}',
    SUBMIT_TIMEOUT_MS: '2000',
  });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

type Ids = Record<string, string>;
const redis = () => edge.gateway.redis.client;
const start = async (body = {}) =>
  (await edge.call('ada', 'POST', '/containers/start', { body })).body as Ids;
const infer = async (over = {}) => {
  const body = { model: 'm', prompt: 'p', ...over };
  return (await edge.call('ada', 'POST', '/inference', { body })).body as Ids;
};
const retry = (id: unknown, key?: string, user = 'ada') =>
  edge.call(user, 'POST', `/jobs/${id}/retry`, {
    headers: key === undefined ? {} : { 'Idempotency-Key': key },
  });
const jobRows = () => drizzle(edge.postgres.sql).select().from(jobs);
const containerRows = () => drizzle(edge.postgres.sql).select().from(containers);
const record = (id: unknown) => redis().hgetall(keys.job('ada', String(id)));

/** Ends a job as the worker and the drain do. */
async function end(id: unknown, state = 'failed', desktop?: string) {
  const error = '{"code":"x","message":"y","retryable":true}';
  await redis().hset(keys.job('ada', String(id)), { state, finishedAt: Date.now(), error });
  await redis().zrem(keys.openJobs('ada'), String(id));
  await redis().del(`${keys.bullmqPrefix('ai-inference')}:ai-inference:${id}`);
  await redis().zrem(`${keys.bullmqPrefix('ai-inference')}:ai-inference:prioritized`, String(id));
  await edge.postgres
    .sql`update jobs set state = ${state}, finished_at = now(), error = ${error} where id = ${String(id)}`;
  if (!desktop) return;
  await redis().hset(keys.container('ada', desktop), { state: 'failed', endedAt: Date.now() });
  await redis().zrem(keys.openContainers('ada'), desktop);
  await edge.postgres.sql`update containers set state = 'failed', ended_at = now() where id = ${desktop}`;
}

describe('POST /jobs/:id/retry', () => {
  test.each(['failed', 'cancelled', 'timed_out'])(
    '202: a %s inference is a new run of the same job, in its queue and in the ledger as in Redis',
    async (state) => {
      const { jobId } = await infer({ webhookUrl: 'https://hooks.test/x', timeoutMs: 5000 });
      await end(jobId, state);
      const answer = await retry(jobId);
      expect([answer.status, answer.body]).toEqual([202, { jobId, run: 2 }]);
      expect(await waiting(edge, 'ai-inference')).toEqual([`${jobId}.2`]);
      expect(await record(jobId)).toMatchObject({
        state: 'queued',
        run: '2',
        webhookUrl: 'https://hooks.test/x',
        timeoutMs: '5000',
      });
      expect(await jobRows()).toEqual([jobRow('ada', await record(jobId))]);
      const { body } = await edge.call('ada', 'GET', `/jobs/${jobId}`);
      expect(body).toMatchObject({ state: 'queued', run: 2, attemptsMade: 0 });
      expect(body.error).toBeUndefined();
      const changes = await edge.postgres.sql`select run, state, seq from job_changes order by run`;
      expect(changes).toMatchObject([
        { run: 1, state: 'queued' },
        { run: 2, state: 'queued', seq: expect.stringMatching(/^\d+-\d+$/) },
      ]);
    },
  );

  test('202: a start gets a new desktop like the one before', async () => {
    const { jobId, containerId = '' } = await start({ name: 'Mine', width: 800, env: { A: 'b' } });
    await end(jobId, 'failed', containerId);
    const answer = await retry(jobId);
    expect(answer.status).toBe(202);
    const fresh = String(answer.body.containerId);
    expect(fresh).not.toBe(containerId);
    expect(await waiting(edge)).toContain(`${jobId}.2`);
    const [before, after] = await Promise.all(
      [containerId, fresh].map((id) => redis().hgetall(keys.container('ada', id))),
    );
    expect(after).toMatchObject({ state: 'requested', name: 'Mine', width: '800', jobId, fence: '0' });
    expect(after?.spec).toBe(before?.spec);
    expect(await containerRows()).toContainEqual(containerRow('ada', after ?? {}));
    expect(await jobRows()).toMatchObject([{ run: 2, containerId: fresh, state: 'queued' }]);
    expect((await edge.call('ada', 'GET', `/jobs/${jobId}`)).body.containerId).toBe(fresh);
  });

  test('202: a stop that failed stops the same desktop', async () => {
    const { containerId } = await start();
    const { jobId } = (await edge.call('ada', 'POST', `/containers/${containerId}/stop`)).body;
    await end(jobId);
    expect((await retry(jobId)).body).toEqual({ jobId, run: 2, containerId });
    expect(await waiting(edge)).toContain(`${jobId}.2`);
  });

  test.each([undefined, 'stop-again'])(
    '202: a stop that was retried answers a further stop (key %s)',
    async (key) => {
      const { containerId } = await start();
      const stop = (headers = {}) => edge.call('ada', 'POST', `/containers/${containerId}/stop`, { headers });
      const { jobId } = (await stop()).body;
      await end(jobId);
      await retry(jobId);
      const again = await stop(key === undefined ? {} : { 'Idempotency-Key': key });
      expect([again.status, again.body]).toEqual([202, { jobId }]);
      expect(await record(jobId)).toMatchObject({ run: '2', state: 'queued' });
      expect(await waiting(edge)).toContain(`${jobId}.2`);
    },
  );

  test('202: a job that reads a desktop names it in its later runs too', async () => {
    const { containerId = '' } = await start();
    await redis().hset(keys.container('ada', containerId), 'state', 'running');
    const body = { model: 'ocr-eng', containerId };
    const { jobId } = (await edge.call('ada', 'POST', '/inference', { body })).body;
    await end(jobId);
    expect((await retry(jobId)).body).toEqual({ jobId, run: 2, containerId });
    const rows = (await jobRows()).filter(({ id }) => id === jobId);
    expect(rows).toEqual([jobRow('ada', await record(jobId))]);
    expect(rows).toMatchObject([{ containerId, run: 2 }]);
  });

  test('two REST trips', async () => {
    const { jobId } = await infer();
    await end(jobId);
    await retry(jobId);
    await end(jobId);
    edge.trips();
    expect((await retry(jobId)).body.run).toBe(3);
    expect(edge.trips()).toBe(2);
  });

  test('202: the same key is the same run, before and after Redis has lost its data', async () => {
    const { jobId } = await infer();
    await end(jobId);
    const first = await retry(jobId, 'k');
    for (const forgetting of [async () => undefined, () => forget(edge)]) {
      await forgetting();
      const again = await retry(jobId, 'k');
      expect([again.status, again.body]).toEqual([202, first.body]);
      expect(again.headers.get('Idempotent-Replayed')).toBe('true');
    }
    expect(await waiting(edge, 'ai-inference')).toEqual([`${jobId}.2`]);
    expect(await jobRows()).toMatchObject([{ run: 2, state: 'queued' }]);
    const changes = await edge.postgres.sql`select run from job_changes order by run`;
    expect(changes.map(({ run }) => run)).toEqual([1, 2]);
  });

  test('a repeat of the retried submission is answered with its job and records nothing', async () => {
    const body = { model: 'm', prompt: 'p' };
    const submit = () =>
      edge.call('ada', 'POST', '/inference', { body, headers: { 'Idempotency-Key': 'first' } });
    const { jobId } = (await submit()).body as Ids;
    await end(jobId);
    await retry(jobId);
    const before = await edge.postgres.sql`select run, state, seq from job_changes order by run, seq`;
    expect(await submit()).toMatchObject({ status: 202, body: { jobId } });
    expect(await edge.postgres.sql`select run, state, seq from job_changes order by run, seq`).toEqual(
      before,
    );
    expect(await waiting(edge, 'ai-inference')).toEqual([`${jobId}.2`]);
  });

  test('from two clients at once is one new run', async () => {
    const { jobId } = await infer();
    await end(jobId);
    const answers = await Promise.all([retry(jobId), retry(jobId), retry(jobId)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([202, 409, 409]);
    expect(await waiting(edge, 'ai-inference')).toEqual([`${jobId}.2`]);
  });

  test('202: a job that Redis has lost is restored from the ledger, and charged once', async () => {
    const { jobId } = await infer({ prompt: 'remember me' });
    await end(jobId);
    await forget(edge);
    expect((await retry(jobId)).body).toEqual({ jobId, run: 2 });
    const input = await redis().get(keys.input('ada', String(jobId)));
    expect(JSON.parse(input ?? '')).toEqual({ model: 'm', prompt: 'remember me' });
    expect(await waiting(edge, 'ai-inference')).toEqual([`${jobId}.2`]);
    expect(await redis().zcard(keys.limit('ada', 'user'))).toBe(1);

    const desk = await start({ name: 'Mine' });
    await end(desk.jobId, 'failed', desk.containerId);
    await forget(edge);
    const answer = await retry(desk.jobId);
    expect(answer.body).toMatchObject({ jobId: desk.jobId, run: 2 });
    expect(await redis().hgetall(keys.container('ada', String(answer.body.containerId)))).toMatchObject({
      name: 'Mine',
      state: 'requested',
    });
  });

  test('409: a job on a desktop that ran and is no longer stored has to be submitted again', async () => {
    const { jobId, containerId } = await start();
    await end(jobId, 'failed', containerId);
    await edge.postgres.sql`update containers set spec = '{}'`;
    await forget(edge);
    const answer = await retry(jobId);
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect(answer.body.message).toContain('submit a new job');
  });

  test.each(['queued', 'delayed', 'active', 'completed'])('409: a job that is %s', async (state) => {
    const { jobId } = await infer();
    await redis().hset(keys.job('ada', String(jobId)), 'state', state);
    const answer = await retry(jobId);
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect(answer.body.message).toContain(state);
    expect(await record(jobId)).toMatchObject({ run: '1' });
  });

  test('409: the key of another request, also when only the ledger has it; nothing runs', async () => {
    const { jobId } = await infer();
    await edge.call('ada', 'POST', '/inference', {
      body: { model: 'm', prompt: 'other' },
      headers: { 'Idempotency-Key': 'k' },
    });
    await end(jobId);
    expect((await retry(jobId, 'k')).status).toBe(409);
    expect(await record(jobId)).toMatchObject({ run: '1', state: 'failed' });
    await redis().del(...(await redis().keys('*:idem:*')));
    expect((await retry(jobId, 'k')).status).toBe(409);
    expect(await record(jobId)).toMatchObject({ state: 'cancelled' });
    expect(await waiting(edge, 'ai-inference')).not.toContain(`${jobId}.2`);
  });

  test('429: a full quota, of jobs and of desktops', async () => {
    const desk = await start();
    await end(desk.jobId, 'failed', desk.containerId);
    const { jobId } = await infer();
    await end(jobId);
    await start();
    await start();
    const desktops = await retry(desk.jobId);
    expect([desktops.status, desktops.body]).toMatchObject([
      429,
      { code: 'quota_exceeded', limit: 2, used: 2, message: expect.stringContaining('desktops') },
    ]);
    await infer();
    const full = await retry(jobId);
    expect([full.status, full.body]).toMatchObject([
      429,
      { code: 'quota_exceeded', limit: 3, used: 3, message: expect.stringContaining('jobs') },
    ]);
    expect(await record(jobId)).toMatchObject({ run: '1', state: 'failed' });
  });

  test("404: another user's job, an unknown id and an invalid id", async () => {
    const { jobId } = await infer();
    await end(jobId);
    expect((await retry(jobId, undefined, 'bob')).status).toBe(404);
    const none = await retry('none');
    expect([none.status, none.body.message]).toEqual([404, expect.stringContaining('job')]);
    expect((await retry('a%7Db')).status).toBe(404);
    expect(await record(jobId)).toMatchObject({ run: '1', state: 'failed' });
  });

  test('503: while the ledger is frozen the outcome is unknown, and the same key runs it once', async () => {
    const { jobId } = await infer();
    await end(jobId);
    edge.postgres.freeze();
    try {
      expect((await retry(jobId, 'k')).status).toBe(503);
    } finally {
      edge.postgres.thaw();
    }
    const answer = await waitFor('the retry to be accepted', async () => {
      const again = await retry(jobId, 'k');
      return again.status === 202 && again;
    });
    expect(answer.body).toEqual({ jobId, run: 2 });
    expect(await waiting(edge, 'ai-inference')).toEqual([`${jobId}.2`]);
    expect(await jobRows()).toMatchObject([{ run: 2, state: 'queued' }]);
  });
});
