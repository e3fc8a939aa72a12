import { beat } from '@warmwind/shared/engine/ledger/reads';
import { drizzle } from 'drizzle-orm/postgres-js';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { startPostgres, type TestPostgres } from '../../infra/quality/testing/postgres.ts';
import { emptyStores, forget } from '../testing/stores.ts';

/** A separate server plays the replica: it has just the rows and the age that this test writes. */
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

test('lists and usage are read from a replica within the permitted lag', async () => {
  await beat(drizzle(replica.sql));
  await insert(replica, 'on-replica');
  expect(await ids()).toEqual(['on-replica']);
  await replica.sql`insert into usage_days values ('ada', '2025-01-01', 7, 0, 0, 0, 0, 0)`;
  const { body } = await edge.call('ada', 'GET', '/usage?until=2025-01-02');
  expect(body.items).toMatchObject([{ day: '2025-01-01', jobs: 7 }]);
});

test('a new job is listed for its owner at once though the replica lacks it', async () => {
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
  ['never received a heartbeat', nothing, nothing],
  ['does not answer', () => replica.freeze(), () => replica.thaw()],
  ['is gone', () => replica.kill(), () => replica.restart()],
])('the primary is read when the replica %s', async (_, interrupt, restore) => {
  await insert(replica, 'on-replica');
  await insert(edge.postgres, 'on-primary');
  await interrupt();
  try {
    expect(await ids()).toEqual(['on-primary']);
  } finally {
    await restore();
  }
});

test('without Redis the primary is read, because no records fill the gaps of a replica', async () => {
  await beat(drizzle(replica.sql));
  await insert(edge.postgres, 'on-primary');
  edge.gateway.redis.freeze();
  try {
    expect(await ids()).toEqual(['on-primary']);
  } finally {
    edge.gateway.redis.thaw();
  }
});
