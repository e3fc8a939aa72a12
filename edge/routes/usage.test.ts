import { UsageDay } from '@warmwind/shared/engine/ledger/usage';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { emptyStores } from '../testing/stores.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"user": [], "containers.start": []}' });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

const add = (user: string, day: string) =>
  edge.postgres.sql`insert into usage_days values (${user}, ${day}, 2, 1.5, 3, 60, 10, 20)`;
const get = (query = '') => edge.call('ada', 'GET', `/usage${query}`);

test('200: the requested days, both included, of the caller only', async () => {
  for (const day of ['2025-01-01', '2025-01-02', '2025-01-04', '2025-01-05']) await add('ada', day);
  await add('bob', '2025-01-03');
  const { status, body } = await get('?since=2025-01-02&until=2025-01-04');
  expect(status).toBe(200);
  expect(body.items).toEqual([
    {
      day: '2025-01-02',
      jobs: 2,
      queueSeconds: 1.5,
      runSeconds: 3,
      desktopSeconds: 60,
      inputTokens: 10,
      outputTokens: 20,
    },
    expect.objectContaining({ day: '2025-01-04' }),
  ]);
  for (const day of body.items as unknown[]) UsageDay.parse(day);
});

test('200: seconds are exact to the millisecond, without rounding errors of their sums', async () => {
  await edge.postgres.sql`insert into usage_days values ('ada', '2025-01-01', 2, 0.1, 0.1, 0.1, 0, 0)`;
  await edge.postgres
    .sql`update usage_days set queue_seconds = queue_seconds + 0.2, run_seconds = run_seconds + 0.2,
    desktop_seconds = desktop_seconds + 0.2`;
  const { items } = (await get('?since=2025-01-01&until=2025-01-01')).body;
  expect(items).toMatchObject([{ queueSeconds: 0.3, runSeconds: 0.3, desktopSeconds: 0.3 }]);
});

test('200: the last 30 days by default, and a running desktop up to now', async () => {
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
  await add('ada', daysAgo(29));
  await add('ada', daysAgo(31));
  await edge.call('ada', 'POST', '/containers/start');
  await edge.postgres.sql`update containers set state = 'running', started_at = now() - interval '1 minute'`;
  const days = (await get()).body.items as { day: string; desktopSeconds: number }[];
  expect(days[0]?.day).toBe(daysAgo(29));
  const today = days.slice(1).reduce((sum, { desktopSeconds }) => sum + desktopSeconds, 0);
  expect(today).toBeGreaterThanOrEqual(59);
});

test.each([
  '?since=today',
  '?since=2025-02-30',
  '?until=0000-01-01',
  '?since=2025-01-02&until=2025-01-01',
  '?since=2025-01-01&until=2026-01-02',
])('400: %s', async (query) => {
  expect((await get(query)).status).toBe(400);
});

test('200: a complete year, leap years too', async () => {
  expect((await get('?since=2024-01-01&until=2024-12-31')).status).toBe(200);
});

test('503: while the ledger does not answer', async () => {
  edge.postgres.freeze();
  try {
    expect((await get()).status).toBe(503);
  } finally {
    edge.postgres.thaw();
  }
});
