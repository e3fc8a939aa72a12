import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { emptyStores, forget } from '../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": [], "containers.start": []}',
    QUOTAS: '{"desktops": 1000}',
    DESKTOP_IMAGES: '{"desktop": "warmwind/desktop:1", "browser": "warmwind/browser:1"}',
    LIMITER_TIMEOUT_MS: '1000',
  });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

const start = async (body: object) => {
  const answer = await edge.call('ada', 'POST', '/containers/start', { body });
  expect(answer.status).toBe(202);
  return answer.body as { jobId: string; containerId: string };
};
const idsOf = (body: unknown) => (body as { items: { id: string }[] }).items.map(({ id }) => id);
const get = (path: string) => edge.call('ada', 'GET', path);
const ids = async (path: string): Promise<string[]> => {
  const { status, body } = await get(path);
  expect([path, status]).toEqual([path, 200]);
  return idsOf(body).toSorted();
};
const both = (...items: string[]) => items.toSorted();

const LABELS = { team: 'design', 'app.example/part': 'a:b ✓' };

test('labels are of the job and of its desktop, in Redis and in the ledger', async () => {
  const { jobId, containerId } = await start({ labels: LABELS });
  const plain = await start({ labels: {} });
  for (const read of [async () => {}, () => forget(edge)]) {
    await read();
    expect((await get(`/jobs/${jobId}`)).body.labels).toEqual(LABELS);
    expect((await get(`/containers/${containerId}`)).body.labels).toEqual(LABELS);
    expect((await get(`/jobs/${plain.jobId}`)).body).not.toHaveProperty('labels');
    expect((await get(`/containers/${plain.containerId}`)).body).not.toHaveProperty('labels');
  }
});

test('programs and inferences have labels, and their inputs have not', async () => {
  const { containerId } = await start({});
  const { client } = edge.gateway.redis;
  await client.hset(keys.container('ada', containerId), 'state', 'running');
  const bodies = {
    [`/containers/${containerId}/exec`]: { cmd: ['true'], labels: { step: '1' } },
    '/inference': { model: 'desk-tiny', prompt: 'Hello', labels: { step: '1' } },
  };
  const jobs: string[] = [];
  for (const [path, body] of Object.entries(bodies)) {
    const { status, body: accepted } = await edge.call('ada', 'POST', path, { body });
    expect([path, status]).toEqual([path, 202]);
    const jobId = String(accepted.jobId);
    jobs.push(jobId);
    expect(await client.get(keys.input('ada', jobId))).not.toContain('labels');
  }
  expect(await ids('/jobs?label=step:1')).toEqual(jobs.toSorted());
});

test('a retried start gives its labels to the new desktop', async () => {
  const { jobId } = await start({ labels: LABELS });
  await edge.call('ada', 'DELETE', `/jobs/${jobId}`);
  const { containerId } = (await edge.call('ada', 'POST', `/jobs/${jobId}/retry`, { body: {} })).body;
  await forget(edge);
  expect((await get(`/containers/${containerId}`)).body.labels).toEqual(LABELS);
});

test('lists have only what has every label, from records and from the ledger alike', async () => {
  const a = await start({ labels: { team: 'design', env: 'prod' } });
  const b = await start({ labels: { team: 'design', env: 'test' } });
  await start({ labels: { team: 'ops' } });
  await start({});
  await edge.call('bob', 'POST', '/containers/start', { body: { labels: { team: 'design' } } });
  const check = async () => {
    expect(await ids('/jobs?label=team:design')).toEqual(both(a.jobId, b.jobId));
    expect(await ids('/jobs?label=team:design&label=env:prod')).toEqual([a.jobId]);
    expect(await ids('/jobs?label=team:design&state=completed')).toEqual([]);
    expect(await ids('/jobs?label=team:none')).toEqual([]);
    expect(await ids('/containers?label=team:design')).toEqual(both(a.containerId, b.containerId));
    expect(await ids('/containers?label=env:test&label=team:design')).toEqual([b.containerId]);
    expect(await ids('/containers?label=constructor:x')).toEqual([]);
  };
  await check();
  await forget(edge);
  await check();
});

test('pages of one label list each match once, over records and rows', async () => {
  const matching: string[] = [];
  for (let i = 0; i < 6; i += 1) {
    if (i === 3) await forget(edge);
    matching.push((await start({ labels: { team: 'design' } })).jobId);
    await start({ labels: { team: 'ops' } });
  }
  const seen: string[] = [];
  let cursor = '';
  do {
    const page = (await get(`/jobs?limit=2&label=team:design${cursor}`)).body;
    seen.push(...idsOf(page));
    cursor = page.nextCursor === null ? '' : `&cursor=${page.nextCursor}`;
  } while (cursor);
  expect(seen).toEqual(matching.toReversed());
});

test('a record whose labels can not be read hides no other', async () => {
  const malformed = await start({ labels: { team: 'design' } });
  const { jobId } = await start({ labels: { team: 'design' } });
  await edge.gateway.redis.client.hset(keys.job('ada', malformed.jobId), 'labels', '{"team');
  const { status, body } = await get('/jobs?label=team:design&state=queued');
  expect(status).toBe(200);
  expect(idsOf(body)).toContain(jobId);
});

test('desktops are filtered by name, image and host', async () => {
  const mine = await start({ name: 'Mine', image: 'browser' });
  const other = await start({ name: 'Other' });
  await edge.gateway.redis.client.hset(keys.container('ada', mine.containerId), 'host', 'worker-1');
  expect(await ids('/containers?name=Mine')).toEqual([mine.containerId]);
  expect(await ids('/containers?image=desktop')).toEqual([other.containerId]);
  expect(await ids('/containers?host=worker-1')).toEqual([mine.containerId]);
  expect(await ids('/containers?host=worker-1&name=Other')).toEqual([]);
  await edge.postgres.sql`update containers set host = 'worker-1' where id = ${mine.containerId}`;
  await forget(edge);
  expect(await ids('/containers?image=browser&host=worker-1&name=Mine')).toEqual([mine.containerId]);
});

test.each([
  'label=team',
  'label=:v',
  'label=te%20am:v',
  'label=team:%00',
  `label=team:${'v'.repeat(129)}`,
  'label=team:a&label=team:b',
  'name=',
  Array.from({ length: 17 }, (_, i) => `label=k${i}:v`).join('&'),
])('400: ?%s', async (query) => {
  const { status, body } = await get(`/containers?${query}`);
  expect([status, body.code]).toEqual([400, 'bad_request']);
  expect(body.issues).not.toEqual([]);
});

test.each([{ 'a b': 'v' }, { k: 'a\u0000b' }, ['team'], { k: null }])(
  'a request with labels %j is refused',
  async (labels) => {
    const { status, body } = await edge.call('ada', 'POST', '/containers/start', { body: { labels } });
    expect([status, body.code]).toEqual([400, 'bad_request']);
  },
);
