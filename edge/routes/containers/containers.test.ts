import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CallInit, startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { emptyStores } from '../../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    QUOTAS: '{"desktops": 3}',
    DESKTOP_IMAGES: '{"desktop": "warmwind/desktop:1", "small": "warmwind/small:1"}',
  });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

const start = (init?: CallInit, user = 'ada') => edge.call(user, 'POST', '/containers/start', init);
const stop = (id: unknown, init?: CallInit, user = 'ada') =>
  edge.call(user, 'POST', `/containers/${id}/stop`, init);
const idempotent = (key: string) => ({ headers: { 'Idempotency-Key': key } });

describe('POST /containers/start', () => {
  test('202: an empty body starts the default desktop, and its job is in the queue', async () => {
    const answer = await start();
    expect(answer.status).toBe(202);
    const { jobId, containerId } = answer.body;
    const container = await edge.call('ada', 'GET', `/containers/${containerId}`);
    expect(container.body).toMatchObject({
      id: containerId,
      jobId,
      name: `desktop-${String(containerId).slice(0, 8)}`,
      state: 'requested',
      image: 'desktop',
      width: 1280,
      height: 720,
    });
    const data = await edge.gateway.redis.client.hget(
      `${keys.bullmqPrefix('containers')}:containers:${jobId}`,
      'data',
    );
    expect(JSON.parse(data ?? '')).toEqual({
      version: 1,
      kind: 'container.start',
      userId: 'ada',
      jobId,
      run: 1,
      containerId,
      requestId: answer.headers.get('X-Request-Id'),
    });
  });

  test('202: the worker receives the requested options, with the image by its reference', async () => {
    const body = {
      image: 'small',
      width: 800,
      height: 600,
      ttlSeconds: 60,
      env: { EDITOR: 'vi ü' },
      name: 'My desk',
    };
    const { containerId } = (await start({ body })).body;
    const record = await edge.gateway.redis.client.hgetall(keys.container('ada', String(containerId)));
    expect(record).toMatchObject({
      name: 'My desk',
      image: 'small',
      width: '800',
      height: '600',
      userId: 'ada',
    });
    expect(JSON.parse(record.spec ?? '')).toEqual({
      image: 'warmwind/small:1',
      width: 800,
      height: 600,
      ttlSeconds: 60,
      memoryMb: 512,
      cpus: 1,
      gpus: 0,
      env: { EDITOR: 'vi ü' },
      network: 'none',
    });
  });

  test('202: takes two REST trips, and one for a replay that a worker has taken', async () => {
    await start(idempotent('warm'));
    edge.trips();
    const { jobId } = (await start(idempotent('k'))).body;
    expect(edge.trips()).toBe(2);
    await edge.gateway.redis.client.hset(keys.job('ada', String(jobId)), 'state', 'active');
    await start(idempotent('k'));
    expect(edge.trips()).toBe(1);
  });

  test('202: the same key and body is the same job, marked as replayed', async () => {
    const first = await start({ ...idempotent('k'), body: { width: 800 } });
    const second = await start({ ...idempotent('k'), body: { width: 800 } });
    expect(second.body).toEqual(first.body);
    expect([first.headers.get('Idempotent-Replayed'), second.headers.get('Idempotent-Replayed')]).toEqual([
      null,
      'true',
    ]);
  });

  test('400: every invalid field by its path', async () => {
    const body = { width: '800', privileged: true, env: { LD_PRELOAD: 'x' }, cpus: -1 };
    const answer = await start({ body });
    expect([answer.status, answer.body.code]).toEqual([400, 'bad_request']);
    const issues = answer.body.issues as { path: string }[];
    expect(issues.map(({ path }) => path).sort()).toEqual(['cpus', 'env.LD_PRELOAD', 'privileged', 'width']);
  });

  test.each([
    [{ image: 'ubuntu' }, 'image'],
    [{ network: 'egress' }, 'network'],
    [{ gpus: 1 }, 'gpus'],
  ])('400: %j is not offered here, and nothing is created', async (body, path) => {
    const answer = await start({ body });
    expect([answer.status, answer.body.issues]).toEqual([400, [expect.objectContaining({ path })]]);
    expect((await edge.call('ada', 'GET', '/containers')).body.items).toEqual([]);
  });

  test.each(['{"width":', 'null', '[]', '"text"', '\ufffe\x00'])(
    '400: the body %j is no object',
    async (body) => {
      const answer = await start({ body });
      expect([answer.status, answer.body.code]).toEqual([400, 'bad_request']);
      expect(answer.body.issues).toHaveLength(1);
    },
  );

  test.each(['', 'with space', 'ü', 'x'.repeat(256)])('400: the Idempotency-Key %j', async (key) => {
    const encoded = Buffer.from(key).toString('latin1');
    const answer = await start(idempotent(encoded));
    expect([answer.status, answer.body.issues]).toEqual([
      400,
      [expect.objectContaining({ path: 'idempotency-key' })],
    ]);
  });

  test('404: an unknown snapshot name', async () => {
    const answer = await start({ body: { snapshot: 'yesterday' } });
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(answer.body.message).toContain('no such snapshot');
    expect((await edge.call('ada', 'GET', '/containers')).body.items).toEqual([]);
  });

  test('409: the same key with another body', async () => {
    await start(idempotent('k'));
    const answer = await start({ ...idempotent('k'), body: { width: 800 } });
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
  });

  test('409: the same key on another route', async () => {
    const { containerId } = (await start(idempotent('k'))).body;
    expect((await stop(containerId, idempotent('k'))).status).toBe(409);
  });

  test('413: a body of more than 256 KB, with or without Content-Length', async () => {
    const body = JSON.stringify({ name: 'x'.repeat(300_000) });
    expect((await start({ body })).status).toBe(413);
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(body));
        controller.close();
      },
    });
    const answer = await edge.raw('ada', '/containers/start', {
      method: 'POST',
      body: stream,
      duplex: 'half',
      headers: { 'Content-Type': 'application/json' },
    });
    expect(answer.status).toBe(413);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp'])(
    '415: %s',
    async (type) => {
      const answer = await start({ body: '{}', headers: { 'Content-Type': type } });
      expect([answer.status, answer.body.code]).toEqual([415, 'unsupported_media_type']);
    },
  );

  test('429: a full quota reports its name, its limit, its use, and when to retry', async () => {
    for (let i = 0; i < 3; i += 1) await start();
    const answer = await start();
    expect(answer.status).toBe(429);
    expect(answer.body).toMatchObject({ code: 'quota_exceeded', limit: 3, used: 3 });
    expect(answer.body.message).toContain('desktops');
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThanOrEqual(1);
    expect((await start({}, 'bob')).status).toBe(202);
  });
});

describe('POST /containers/:id/stop', () => {
  test('202: a job of its own, in the queue', async () => {
    const { containerId } = (await start()).body;
    const answer = await stop(containerId);
    expect([answer.status, Object.keys(answer.body)]).toEqual([202, ['jobId']]);
    const job = await edge.call('ada', 'GET', `/jobs/${answer.body.jobId}`);
    expect(job.body).toMatchObject({ kind: 'container.stop', state: 'queued', containerId });
    expect((await edge.call('ada', 'GET', `/containers/${containerId}`)).body.state).toBe('stopping');
  });

  test('400: an unknown field in the body', async () => {
    const { containerId } = (await start()).body;
    expect((await stop(containerId, { body: { force: true } })).status).toBe(400);
  });

  test.each(['stopped', 'failed', 'lost'])('409: a desktop that is %s', async (state) => {
    const { containerId } = (await start()).body;
    await edge.gateway.redis.client.hset(keys.container('ada', String(containerId)), 'state', state);
    const answer = await stop(containerId);
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect(answer.body.message).toContain(state);
  });

  test("404: another user's desktop, an unknown id and an invalid id", async () => {
    const { containerId } = (await start()).body;
    expect((await stop(containerId, {}, 'bob')).status).toBe(404);
    expect((await stop('none')).status).toBe(404);
    expect((await stop('%7Bada%7D%3Ajobs')).status).toBe(404);
    expect((await stop('x'.repeat(65))).status).toBe(404);
  });
});

describe('GET /containers', () => {
  test("200: the caller's desktops, newest first, page by page", async () => {
    const ids: unknown[] = [];
    for (let i = 0; i < 3; i += 1) ids.unshift((await start()).body.containerId);
    await start({}, 'bob');
    const first = (await edge.call('ada', 'GET', '/containers?limit=2')).body;
    const second = (await edge.call('ada', 'GET', `/containers?limit=2&cursor=${first.nextCursor}`)).body;
    const items = [first, second].flatMap(({ items }) => items as { id: string }[]);
    expect(items.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(second.nextCursor).toBeNull();
  });

  test('200: the desktops of one state', async () => {
    const { containerId } = (await start()).body;
    await start();
    await edge.gateway.redis.client.hset(keys.container('ada', String(containerId)), 'state', 'running');
    const { items } = (await edge.call('ada', 'GET', '/containers?state=running')).body;
    expect(items).toMatchObject([{ id: containerId, state: 'running' }]);
  });

  test('200: a user without desktops has an empty list', async () => {
    expect((await edge.call('nobody', 'GET', '/containers')).body).toEqual({ items: [], nextCursor: null });
  });

  test.each(['limit=0', 'limit=101', 'limit=x', 'cursor=!', 'cursor=YWJj', 'state=happy', 'limit=1&limit=2'])(
    '400: ?%s',
    async (query) => {
      const answer = await edge.call('ada', 'GET', `/containers?${query}`);
      expect([answer.status, answer.body.code]).toEqual([400, 'bad_request']);
    },
  );

  test("404: another user's desktop, an unknown id and an invalid id", async () => {
    const { containerId } = (await start()).body;
    for (const [user, id] of [
      ['bob', containerId],
      ['ada', 'none'],
      ['ada', 'a%00b'],
    ]) {
      const answer = await edge.call(String(user), 'GET', `/containers/${id}`);
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    }
  });
});
