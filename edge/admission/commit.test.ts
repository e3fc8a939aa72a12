import { keys } from '@warmwind/shared/engine/keys';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { containers, jobs } from '@warmwind/shared/engine/ledger/schema';
import { RESERVATION_MS } from '@warmwind/shared/engine/records';
import { drizzle } from 'drizzle-orm/postgres-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CallInit, startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { emptyStores, forget, waiting } from '../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s", "900/min"], "containers.start": []}',
    SUBMIT_TIMEOUT_MS: '4000',
  });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

const start = (key?: string, init: CallInit = {}) =>
  edge.call('ada', 'POST', '/containers/start', {
    ...init,
    headers: key === undefined ? {} : { 'Idempotency-Key': key },
  });
/** Repeats a start as a client does that receives 503: its outcome is unknown. */
const accepted = (key: string) =>
  waitFor('a start to be accepted', async () => {
    const answer = await start(key);
    if (answer.status !== 503) expect(answer.status).toBe(202);
    return answer.status === 202 && answer;
  });
const stop = (id: unknown, key?: string, user = 'ada') =>
  edge.call(user, 'POST', `/containers/${id}/stop`, {
    headers: key === undefined ? {} : { 'Idempotency-Key': key },
  });
const jobRows = () => drizzle(edge.postgres.sql).select().from(jobs);
const containerRows = () => drizzle(edge.postgres.sql).select().from(containers);
const record = (key: string) => edge.gateway.redis.client.hgetall(key);

describe('a 202', () => {
  test.each([undefined, 'k'])(
    'with the key %j means that the job is in the queue, and in the ledger as in Redis',
    async (key) => {
      const { status, body } = await start(key, {
        body: { name: "it's \u{1F5A5}".slice(0, 2), env: { A: "'\\\u2028" } },
      });
      expect(status).toBe(202);
      const { jobId, containerId } = body as Record<string, string>;
      expect(await waiting(edge)).toEqual([jobId]);
      expect(await jobRows()).toEqual([jobRow('ada', await record(keys.job('ada', jobId ?? '')))]);
      expect(await containerRows()).toEqual([
        containerRow('ada', await record(keys.container('ada', containerId ?? ''))),
      ]);
      const changes = await edge.postgres.sql`select job_id, state from job_changes`;
      expect(changes).toMatchObject([{ job_id: jobId, state: 'queued' }]);
    },
  );

  test('of a stop means the same; the ledger has its desktop without a host as stopping', async () => {
    const { containerId } = (await start()).body;
    const { jobId } = (await stop(containerId)).body;
    expect(await waiting(edge)).toContain(jobId);
    expect((await jobRows()).map(({ id, kind }) => [id, kind])).toContainEqual([jobId, 'container.stop']);
    expect(await containerRows()).toMatchObject([{ id: containerId, state: 'stopping' }]);
  });

  test('of a replay means the same, even if the ledger has lost the first submission', async () => {
    const first = await start('k');
    await edge.postgres.sql`truncate jobs, job_changes, containers, container_changes, idempotency_keys`;
    expect((await start('k')).body).toEqual(first.body);
    const [row] = await containerRows();
    expect(row).toEqual(containerRow('ada', await record(keys.container('ada', row?.id ?? ''))));
    expect(await jobRows()).toHaveLength(1);
    expect(await waiting(edge)).toHaveLength(1);
  });
});

describe('the same key after Redis has lost its data', () => {
  test('gives the same job, which is in its queue once', async () => {
    const first = await start('k');
    await forget(edge);
    const again = await start('k');
    expect([again.status, again.body]).toEqual([202, first.body]);
    expect(again.headers.get('Idempotent-Replayed')).toBe('true');
    const { jobId, containerId } = first.body as Record<string, string>;
    expect(await waiting(edge)).toEqual([jobId]);
    expect(await jobRows()).toHaveLength(1);
    const { client } = edge.gateway.redis;
    expect(await client.zrange(keys.jobs('ada'), '0', '-1')).toEqual([jobId]);
    expect(await client.zrange(keys.openContainers('ada'), '0', '-1')).toEqual([containerId]);
    expect(containerRow('ada', await record(keys.container('ada', containerId ?? '')))).toEqual(
      (await containerRows())[0],
    );
    edge.trips();
    expect((await start('k')).body).toEqual(first.body);
    expect(edge.trips()).toBe(2);
    expect(await waiting(edge)).toHaveLength(1);
  });

  test('but not the queue gives the same job, which is in its queue once', async () => {
    const first = await start('k');
    const { client } = edge.gateway.redis;
    await client.del(...(await client.keys('ww:{ada}:*')));
    expect((await start('k')).body).toEqual(first.body);
    expect(await waiting(edge)).toEqual([first.body.jobId]);
  });

  test('from twenty clients at once gives one job', async () => {
    const first = await start('k');
    await forget(edge);
    const answers = await Promise.all(Array.from({ length: 20 }, () => accepted('k')));
    for (const { body } of answers) expect(body).toEqual(first.body);
    expect(await waiting(edge)).toEqual([first.body.jobId]);
    expect(await jobRows()).toHaveLength(1);
    expect(await edge.gateway.redis.client.zcard(keys.openJobs('ada'))).toBe(1);
  });

  test('of a job that has ended starts no job', async () => {
    const first = await start('k');
    await edge.postgres.sql`update jobs set state = 'completed', finished_at = now()`;
    await forget(edge);
    expect((await start('k')).body).toEqual(first.body);
    expect(await waiting(edge)).toEqual([]);
  });

  test('409: with another body, and leaves no trace', async () => {
    await start('k');
    await forget(edge);
    const answer = await start('k', { body: { width: 800 } });
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect(await waiting(edge)).toEqual([]);
    expect(await edge.gateway.redis.client.zcard(keys.jobs('ada'))).toBe(0);
    expect(await edge.gateway.redis.client.zcard(keys.openContainers('ada'))).toBe(0);
    expect(await jobRows()).toHaveLength(1);
  });
});

describe('a stop after Redis has lost its data', () => {
  test('202: of a desktop that has not ended, and is charged once', async () => {
    const { containerId } = (await start()).body;
    await edge.postgres
      .sql`update containers set state = 'running', host = 'h7', fence = 1, started_at = now()`;
    await forget(edge);
    const answer = await stop(containerId);
    expect(answer.status).toBe(202);
    expect(await waiting(edge, 'containers-h7')).toEqual([answer.body.jobId]);
    expect(await edge.gateway.redis.client.zcard(keys.limit('ada', 'user'))).toBe(1);
    expect(await record(keys.container('ada', String(containerId)))).toMatchObject({
      host: 'h7',
      fence: '1',
    });
  });

  test('202: with the same key gives the same job, also when the desktop has ended since', async () => {
    const { containerId } = (await start()).body;
    const first = await stop(containerId, 'k');
    await forget(edge);
    expect((await stop(containerId, 'k')).body).toEqual(first.body);
    await edge.postgres.sql`update containers set state = 'stopped', ended_at = now()`;
    await edge.postgres.sql`update jobs set state = 'completed', finished_at = now()`;
    await forget(edge);
    const again = await stop(containerId, 'k');
    expect([again.status, again.body]).toEqual([202, first.body]);
    expect(again.headers.get('Idempotent-Replayed')).toBe('true');
    expect(await waiting(edge)).toEqual([]);
  });

  test('409: of a desktop that has ended', async () => {
    const { containerId } = (await start()).body;
    await edge.postgres.sql`update containers set state = 'lost', ended_at = now()`;
    await forget(edge);
    const answer = await stop(containerId);
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect(answer.body.message).toContain('lost');
  });

  test("404: of another user's desktop, which is not restored", async () => {
    const { containerId } = (await start()).body;
    await forget(edge);
    expect((await stop(containerId, undefined, 'bob')).status).toBe(404);
    expect(await edge.gateway.redis.client.keys('*container:*')).toEqual([]);
  });
});

const outages: [string, () => Promise<void> | void, () => Promise<void> | void][] = [
  ['is gone', () => edge.postgres.kill(), () => edge.postgres.restart()],
  ['does not answer', () => edge.postgres.freeze(), () => edge.postgres.thaw()],
];

describe.each(outages)('when the ledger %s', (_what, interrupt, restore) => {
  test('503: a submission is unknown; the same key runs it once when the ledger is back', async () => {
    const { containerId } = (await start()).body;
    await interrupt();
    let answers: Awaited<ReturnType<typeof start>>[];
    try {
      answers = await Promise.all([start('k'), start(), stop(containerId), stop('forgotten')]);
    } finally {
      await restore();
    }
    for (const { status, body } of answers) {
      expect([status, body.code]).toEqual([503, 'unavailable']);
    }
    const [keyed, unkeyed] = answers.map(({ body }) => String(body.message));
    expect(keyed).toMatch(/retry with the same Idempotency-Key, and it runs once/);
    // Without a key there is no "same" key to retry with.
    expect(unkeyed).toMatch(/look at GET \/jobs before you retry\. A request with an Idempotency-Key/);
    expect(unkeyed).not.toContain('same');
    // Without a retry, the reservations and records expire.
    const redis = edge.gateway.redis.client;
    const written = [...(await redis.keys('ww:*:job:*')), ...(await redis.keys('ww:*:container:*'))];
    for (const key of [...written, ...(await redis.keys('ww:*:idem:*'))]) {
      expect(await redis.pttl(key)).toBeLessThanOrEqual(RESERVATION_MS);
    }
    expect(written).not.toEqual([]);
    const { body } = await accepted('k');
    expect((await start('k')).body).toEqual(body);
    expect((await waiting(edge)).filter((id) => id === body.jobId)).toHaveLength(1);
    expect((await jobRows()).filter(({ id }) => id === body.jobId)).toHaveLength(1);
    expect(await edge.postgres.sql`select * from idempotency_keys`).toHaveLength(1);
  });
});

test('the log of an outage holds no input of a client', async () => {
  edge.postgres.freeze();
  edge.lines.length = 0;
  try {
    await start('secret-key', { body: { env: { TOKEN: 'secret-value' } } });
  } finally {
    edge.postgres.thaw();
  }
  const lines = edge.lines.join('\n');
  expect(lines).toContain('submission outcome unknown');
  expect(lines).not.toContain('secret');
  expect(lines).not.toContain('insert into');
});
