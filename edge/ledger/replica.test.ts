import { beat } from '@warmwind/shared/engine/ledger/reads';
import { drizzle } from 'drizzle-orm/postgres-js';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { startPostgres, type TestPostgres } from '../../infra/quality/testing/postgres.ts';
import { emptyStores, forget } from '../testing/stores.ts';

/** A server of its own stands for the replica: it knows just what this test tells it, however long ago. */
let replica: TestPostgres;
let edge: TestEdge;

beforeAll(async () => {
  replica = await startPostgres({ migrated: true });
  edge = await startTestEdge(
    { RATE_LIMITS: '{"user": [], "containers.start": []}', LEDGER_MAX_LAG_MS: '600000' },
    { readUrl: replica.url },
  );
});
afterAll(async () => {
  await edge?.stop();
  await replica?.stop();
});
beforeEach(async () => {
  await emptyStores(edge);
  await replica.sql`truncate jobs, usage_days, heartbeat`;
});

const AT = '2025-01-01T00:00:00Z';
const insert = ({ sql }: TestPostgres, id: string) =>
  sql`insert into jobs values (${id}, 'ada', 'container.start', 'completed', 1, 1, 1, 'containers', '', 'r', null, null, ${AT}, ${AT}, ${AT})`;
const ids = async () => {
  const { status, body } = await edge.call('ada', 'GET', '/jobs');
  expect([status, body.incomplete]).toEqual([200, undefined]);
  return (body.items as { id: string }[]).map(({ id }) => id);
};

test('lists and usage are read from a replica that is near enough', async () => {
  await beat(drizzle(replica.sql));
  await insert(replica, 'on-replica');
  expect(await ids()).toEqual(['on-replica']);
  await replica.sql`insert into usage_days values ('ada', '2025-01-01', 7, 0, 0, 0, 0, 0)`;
  const { body } = await edge.call('ada', 'GET', '/usage?until=2025-01-02');
  expect(body.items).toMatchObject([{ day: '2025-01-01', jobs: 7 }]);
});

test("one's own new job is listed at once though the replica does not have it", async () => {
  await beat(drizzle(replica.sql));
  const { jobId } = (await edge.call('ada', 'POST', '/containers/start')).body;
  expect(await ids()).toEqual([jobId]);
  expect((await edge.call('ada', 'GET', `/jobs/${jobId}`)).status).toBe(200);
  await forget(edge);
  expect((await edge.call('ada', 'GET', `/jobs/${jobId}`)).status).toBe(200);
});

const nothing = () => undefined;
test.each<[string, () => unknown, () => unknown]>([
  [
    'is too far behind',
    () => replica.sql`insert into heartbeat values (1, now() - interval '1 hour')`,
    nothing,
  ],
  ['never heard of the primary', nothing, nothing],
  ['does not answer', () => replica.freeze(), () => replica.thaw()],
  ['is gone', () => replica.kill(), () => replica.restart()],
])('the primary is asked when the replica %s', async (_, take, giveBack) => {
  await insert(replica, 'on-replica');
  await insert(edge.postgres, 'on-primary');
  await take();
  try {
    expect(await ids()).toEqual(['on-primary']);
  } finally {
    await giveBack();
  }
});

test('without Redis the primary is asked, because nothing makes up for what a replica lacks', async () => {
  await beat(drizzle(replica.sql));
  await insert(edge.postgres, 'on-primary');
  edge.gateway.redis.freeze();
  try {
    expect(await ids()).toEqual(['on-primary']);
  } finally {
    edge.gateway.redis.thaw();
  }
});
