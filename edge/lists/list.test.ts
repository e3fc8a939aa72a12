import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { emptyStores, forget } from '../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": [], "containers.start": []}',
    QUOTAS: '{"desktops": 1000}',
    LIMITER_TIMEOUT_MS: '1000',
  });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

type Item = { id: string; state: string; createdAt: string };
const start = async (user = 'ada') =>
  (await edge.call(user, 'POST', '/containers/start')).body as { jobId: string; containerId: string };
const get = (path: string, user = 'ada') => edge.call(user, 'GET', path);
const list = async (path: string, user = 'ada') => {
  const { status, body } = await get(path, user);
  expect(status).toBe(200);
  return body as { items: Item[]; nextCursor: string | null; incomplete?: true };
};
const ids = async (path: string, user = 'ada') => (await list(path, user)).items.map(({ id }) => id);

/**
 * Creates past jobs that only the ledger has, ten in each millisecond.
 * @returns their ids from new to old
 */
async function past(count: number, user = 'ada'): Promise<string[]> {
  const rows = Array.from({ length: count }, (_, i) => ({
    id: newId(),
    created: new Date(Date.parse('2025-01-01T00:00:00.000Z') + Math.floor(i / 10)),
  }));
  for (const { id, created } of rows) {
    await edge.postgres.sql`insert into jobs values (${id}, ${user}, 'container.start', 'completed', 1, 1, 1,
      'containers', ${id}, 'r', null, null, ${created}, ${created}, ${created})`;
  }
  return rows
    .toSorted((a, b) => b.created.getTime() - a.created.getTime() || (a.id > b.id ? -1 : 1))
    .map(({ id }) => id);
}

async function walk(path: string, onPage?: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const page = await list(`${path}${cursor === undefined ? '' : `&cursor=${cursor}`}`);
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
    await onPage?.();
  }
  return seen;
}

describe('history', () => {
  test('is listed and read after Redis has lost its data, by its owner only', async () => {
    const first = await start();
    const second = await start();
    await start('bob');
    const before = [await list('/jobs'), await list('/containers')];
    await forget(edge);
    expect([await list('/jobs'), await list('/containers')]).toEqual(before);
    expect((await get(`/jobs/${first.jobId}`)).body).toMatchObject({ id: first.jobId, state: 'queued' });
    expect((await get(`/containers/${second.containerId}`)).body).toMatchObject({ id: second.containerId });
    expect((await get(`/jobs/${first.jobId}`, 'bob')).status).toBe(404);
    expect((await get(`/containers/${first.containerId}`, 'bob')).status).toBe(404);
    expect(await ids('/jobs', 'bob')).toHaveLength(1);
    expect(await ids('/jobs', 'eve')).toEqual([]);
  });

  test('is listed exactly once, page by page, while jobs are added', async () => {
    const old = await past(45);
    const recent = [];
    for (let i = 0; i < 5; i += 1) recent.unshift((await start()).jobId);
    expect((await walk('/jobs?limit=7', start)).toSorted()).toEqual([...recent, ...old].toSorted());
    expect((await walk('/jobs?limit=100')).slice(-45)).toEqual(old);
    expect(await walk('/jobs?limit=9&until=2025-06-01T00:00:00Z')).toEqual(old);
  });

  test('ends with a page that has no successor', async () => {
    await past(2);
    await start();
    const { items, nextCursor } = await list('/jobs?limit=3');
    expect([items.length, nextCursor]).toEqual([3, null]);
  });

  test('is filtered by kind, state and time', async () => {
    const old = await past(11);
    const { jobId, containerId } = await start();
    const stop = (await edge.call('ada', 'POST', `/containers/${containerId}/stop`)).body.jobId;
    expect(await ids('/jobs?kind=container.stop')).toEqual([stop]);
    expect(await ids('/jobs?state=completed')).toEqual(old);
    expect((await ids('/jobs?state=queued')).toSorted()).toEqual([jobId, stop].toSorted());
    expect(await ids('/jobs?until=2025-01-01T00:00:00.001Z')).toEqual(old.slice(1));
    expect(await ids('/jobs?since=2025-01-01T00:00:00.001Z&until=2025-01-01T01:00:00.002%2B01:00')).toEqual(
      old.slice(0, 1),
    );
    const { createdAt } = (await get(`/jobs/${jobId}`)).body;
    expect(await ids(`/jobs?kind=container.start&since=${createdAt}`)).toEqual([jobId]);
    expect(await ids(`/jobs?kind=container.start&until=${createdAt}`)).toEqual(old);
    await forget(edge);
    expect(await ids(`/jobs?kind=container.start&since=${createdAt}`)).toEqual([jobId]);
  });

  test.each([
    'since=yesterday',
    'since=2025-01-01',
    'since=2025-01-01T00:00:00',
    'until=2025-01-01T00:00:00Z&since=2025-01-01T00:00:00Z',
    'since=2025-01-02T00:00:00Z&until=2025-01-01T00:00:00Z',
    'cursor=!',
    'cursor=YWJj',
    `cursor=${btoa('99999999999999999:a').replaceAll('=', '')}`,
    `cursor=${btoa("1:'or'").replaceAll('=', '')}`,
  ])('400: ?%s', async (query) => {
    expect((await get(`/jobs?${query}`)).status).toBe(400);
  });

  test.each([
    'since=0000-01-01T00:00:00Z',
    'until=0000-01-01T00:00:00%2B10:00',
    'until=9999-12-31T23:59:59-10:00',
    `cursor=${btoa('99999999999999:a').replaceAll('=', '')}`,
    `cursor=${btoa('0:a').replaceAll('=', '')}`,
  ])('200: the extreme time ?%s', async (query) => {
    expect((await get(`/jobs?${query}`)).status).toBe(200);
  });
});

describe('of two versions', () => {
  test('the record is listed while it is open, and filters apply to it', async () => {
    const { jobId } = await start();
    await edge.gateway.redis.client.hset(keys.job('ada', jobId), 'state', 'active');
    expect((await list('/jobs')).items).toMatchObject([{ id: jobId, state: 'active' }]);
    expect(await ids('/jobs?state=active')).toEqual([jobId]);
    expect(await ids('/jobs?state=queued')).toEqual([]);
  });

  test('the one that has ended is listed: no end is reverted', async () => {
    const { jobId } = await start();
    await edge.postgres.sql`update jobs set state = 'completed', finished_at = now()`;
    expect((await list('/jobs')).items).toMatchObject([{ id: jobId, state: 'completed' }]);
    await edge.postgres.sql`update jobs set state = 'queued', finished_at = null`;
    await edge.gateway.redis.client.hset(keys.job('ada', jobId), 'state', 'failed');
    expect((await list('/jobs')).items).toMatchObject([{ id: jobId, state: 'failed' }]);
    expect(await ids('/jobs?state=queued')).toEqual([]);
  });

  test('a desktop that is older than the index of records is still listed as it is now', async () => {
    const { containerId } = await start();
    const { client } = edge.gateway.redis;
    await client.hset(keys.container('ada', containerId), 'state', 'running');
    await client.del(keys.containers('ada'));
    expect((await list('/containers')).items).toMatchObject([{ id: containerId, state: 'running' }]);
    expect(await ids('/containers?state=requested')).toEqual([]);
  });
});

const outages: [string, () => Promise<void> | void, () => Promise<void> | void][] = [
  ['is gone', () => edge.postgres.kill(), () => edge.postgres.restart()],
  ['does not answer', () => edge.postgres.freeze(), () => edge.postgres.thaw()],
];

test.each(outages)(
  'while the ledger %s the records are listed and read, and lists are marked as incomplete',
  async (_, interrupt, restore) => {
    const [old] = await past(1);
    const { jobId } = await start();
    expect((await list('/jobs')).incomplete).toBeUndefined();
    await interrupt();
    try {
      expect(await list('/jobs')).toMatchObject({
        items: [{ id: jobId }],
        nextCursor: null,
        incomplete: true,
      });
      expect((await get(`/jobs/${jobId}`)).status).toBe(200);
      expect((await get(`/jobs/${old}`)).status).toBe(503);
      expect((await get('/containers/unknown')).status).toBe(503);
      const ready = await get('/health/ready');
      expect(ready.status).toBe(503);
      expect(ready.body.error).toMatchObject({ ledger: { status: 'down' } });
    } finally {
      await restore();
    }
    // The pooler connects again within a moment.
    await waitFor('lists to be complete', async () => (await list('/jobs')).incomplete === undefined);
    // Readiness is cached for a moment.
    await waitFor('the edge to be ready', async () => (await get('/health/ready')).status === 200);
  },
);

test("while Redis does not answer the ledger's last state is listed; without both, lists are 503", async () => {
  const { jobId, containerId } = await start();
  edge.gateway.redis.freeze();
  try {
    expect((await list('/jobs')).items).toMatchObject([{ id: jobId, state: 'queued' }]);
    expect((await get(`/containers/${containerId}`)).body).toMatchObject({ state: 'requested' });
    expect((await get('/jobs/unknown')).status).toBe(503);
    edge.postgres.freeze();
    expect((await get('/jobs')).status).toBe(503);
    expect((await get(`/jobs/${jobId}`)).status).toBe(503);
  } finally {
    edge.gateway.redis.thaw();
    edge.postgres.thaw();
  }
});
