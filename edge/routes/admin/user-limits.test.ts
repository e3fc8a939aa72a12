import { LIMIT_SCOPES } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { asAdmin } from '../../testing/admin.ts';
import { emptyStores, forget } from '../../testing/stores.ts';

let edge: TestEdge;
/** Another user in each test: the edge keeps denials in memory when the stores are emptied. */
let user = 'ada';
let users = 0;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["6/min"], "containers.start": [], "admin": []}',
    QUOTAS: '{"desktops": 2}',
    LIMITER_TIMEOUT_MS: '1000',
  });
});
afterAll(() => edge?.stop());
beforeEach(async () => {
  await emptyStores(edge);
  user = `ada-${users++}`;
});

const admin = asAdmin(() => edge);
const path = () => `/admin/users/${encodeURIComponent(user)}/limits`;
const put = async (limits: object) => {
  const answer = await admin('PUT', path(), limits);
  expect(answer.status).toBe(200);
  return answer.body;
};
const get = (to = '/jobs') => edge.call(user, 'GET', to);
const start = () => edge.call(user, 'POST', '/containers/start', { body: {} });
const statuses = async (count: number) => {
  const seen: number[] = [];
  for (let i = 0; i < count; i += 1) seen.push((await get()).status);
  return seen;
};

/** The limits that hold, from the answer of a route. */
function effectiveOf(body: Record<string, unknown>) {
  const { tiers, quotas } = body.effective as { tiers: { name: string }[]; quotas: { limit: number }[] };
  return [tiers.map(({ name }) => name).slice(0, 2), quotas.map(({ limit }) => limit)];
}

test('limits are set, read, replaced and removed', async () => {
  const read = async () => (await admin('GET', path())).body;
  const none = await read();
  expect(none).toMatchObject({ userId: user, limits: {} });
  expect(none).not.toHaveProperty('updatedAt');
  expect(effectiveOf(none)[1]).toEqual([1000, 2]);
  const limits = { rateLimits: { user: ['3/min', '9/h'], 'containers.actions': [] }, desktops: 5 };
  const set = await put(limits);
  expect(set).toMatchObject({ userId: user, limits, updatedBy: 'root' });
  expect(effectiveOf(set)).toEqual([
    ['3/min', '9/h'],
    [1000, 5],
  ]);
  expect(await read()).toMatchObject({ limits, updatedAt: set.updatedAt, updatedBy: 'root' });
  await put({ jobs: 7 });
  expect((await read()).limits).toEqual({ jobs: 7 });
  expect(effectiveOf(await read())[1]).toEqual([7, 2]);
  for (let i = 0; i < 2; i += 1) expect((await admin('DELETE', path())).status).toBe(204);
  expect((await read()).limits).toEqual({});
  expect(effectiveOf(await read())).toEqual(effectiveOf(none));
});

test('every scope that can be set is in the limits that hold', async () => {
  const scopes = LIMIT_SCOPES.filter((scope) => scope !== 'ip');
  const set = await put({ rateLimits: Object.fromEntries(scopes.map((scope) => [scope, ['7/min']])) });
  const { tiers } = set.effective as { tiers: { name: string }[] };
  expect(tiers.map(({ name }) => name)).toEqual(
    scopes.map((scope) => (scope === 'user' ? '7/min' : `${scope} 7/min`)),
  );
});

test('GET /limits, headers and denials have the limits of the user, without another trip', async () => {
  await get();
  edge.trips();
  await get();
  const usual = edge.trips();
  await put({ rateLimits: { user: ['4/min', '50/h'] }, desktops: 9, jobs: 3 });
  edge.trips();
  const answer = await get();
  expect(edge.trips()).toBe(usual);
  expect(answer.headers.get('RateLimit-Policy')).toBe('"4/min";q=4;w=60, "50/h";q=50;w=3600');
  expect(answer.headers.get('X-RateLimit-Remaining')).toBe('1');
  const { body } = await get('/limits');
  expect((body.tiers as unknown[]).slice(0, 2)).toMatchObject([
    { name: '4/min', limit: 4, windowMs: 60_000, remaining: 1 },
    { name: '50/h', limit: 50, remaining: 47 },
  ]);
  expect(body.quotas).toEqual([
    { name: 'jobs', limit: 3, used: 0 },
    { name: 'desktops', limit: 9, used: 0 },
  ]);
  expect(await statuses(2)).toEqual([200, 429]);
});

test('limits that are lowered in the middle of a window count what it has, and raised ones let requests pass', async () => {
  expect(await statuses(3)).toEqual([200, 200, 200]);
  await put({ rateLimits: { user: ['2/min'] } });
  const denied = await get();
  expect([denied.status, denied.body.message]).toEqual([429, expect.stringContaining('2/min')]);
  await put({ rateLimits: { user: ['5/min'] } });
  // A denial is remembered for a second.
  await waitFor('the raised limit', async () => (await get()).status === 200);
  expect(await statuses(2)).toEqual([200, 429]);
  expect((await admin('DELETE', path())).status).toBe(204);
  await waitFor('the usual limit', async () => (await get()).status === 200);
  expect(await statuses(1)).toEqual([429]);
});

test('quotas of the user hold for the next submission, and the refusal names them', async () => {
  expect((await start()).status).toBe(202);
  await put({ desktops: 1 });
  const refused = await start();
  expect([refused.status, refused.body]).toMatchObject([429, { code: 'quota_exceeded', limit: 1, used: 1 }]);
  await put({ desktops: 3 });
  expect([(await start()).status, (await start()).status]).toEqual([202, 202]);
  await put({ jobs: 0 });
  const none = await start();
  expect([none.status, none.body]).toMatchObject([
    429,
    { limit: 0, message: expect.stringContaining('administrator') },
  ]);
  const other = await edge.call(`${user}-other`, 'POST', '/containers/start', { body: {} });
  expect(other.status).toBe(202);
});

test('the ledger has the truth: after a loss of Redis it is read, and the usual limits hold until it is restored', async () => {
  const limits = { rateLimits: { user: ['2/min'] } };
  await put(limits);
  await forget(edge);
  const { body } = await admin('GET', path());
  expect(body.limits).toEqual(limits);
  expect(effectiveOf(body)[0]?.[0]).toBe('6/min');
  await put(limits);
  expect((await get()).headers.get('X-RateLimit-Limit')).toBe('2');
});

test('of two changes at once the later one in the ledger holds', async () => {
  await Promise.all(Array.from({ length: 6 }, (_, i) => admin('PUT', path(), { jobs: i + 1 })));
  const { limits } = (await admin('GET', path())).body;
  const held = await edge.gateway.redis.client.hget(keys.userLimits(user), 'limits');
  expect(JSON.parse(held ?? '')).toEqual(limits);
});

test('while the ledger does not answer nothing is changed, and while Redis does not, the change is in the ledger', async () => {
  await edge.postgres.kill();
  try {
    const { status, body } = await admin('PUT', path(), { jobs: 5 });
    expect([status, body.code]).toEqual([503, 'unavailable']);
    expect(await edge.gateway.redis.client.exists(keys.userLimits(user))).toBe(0);
    expect((await admin('GET', path())).status).toBe(503);
  } finally {
    await edge.postgres.restart();
  }
  edge.gateway.redis.freeze();
  try {
    // The limit of the route itself is decided by Redis.
    expect((await admin('PUT', path(), { jobs: 6 })).status).toBe(503);
  } finally {
    edge.gateway.redis.thaw();
  }
}, 30_000);

describe('a request that is not valid changes nothing', () => {
  test.each([
    [{ rateLimits: { ip: ['1/s'] } }],
    [{ rateLimits: { user: ['0/s'] } }],
    [{ rateLimits: { user: '1/s' } }],
    [{ rateLimits: { user: Array.from({ length: 9 }, () => '1/s') } }],
    [{ rateLimits: { 'containers.nothing': [] } }],
    [{ jobs: -1 }],
    [{ jobs: 1.5 }],
    [{ desktops: 10_001 }],
    [{ gpus: 1 }],
    [[]],
  ])('400: %j', async (limits) => {
    const { status, body } = await admin('PUT', path(), limits);
    expect([status, body.code]).toEqual([400, 'bad_request']);
    expect(await edge.gateway.redis.client.exists(keys.userLimits(user))).toBe(0);
  });

  test.each(['a%7Bb', 'a%2Fb', `${'x'.repeat(129)}`])('404 for the user %s', async (id) => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const { status } = await admin(method, `/admin/users/${id}/limits`, method === 'PUT' ? {} : undefined);
      expect([method, status]).toEqual([method, 404]);
    }
  });

  test('403 for a user, also for its own limits', async () => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const body = method === 'PUT' ? { body: { jobs: 1_000_000 } } : {};
      const answer = await edge.call(user, method, path(), body);
      expect([method, answer.status, answer.body.code]).toEqual([method, 403, 'admin_required']);
    }
    expect(await edge.gateway.redis.client.exists(keys.userLimits(user))).toBe(0);
  });
});

test('without a ledger the limits are in Redis alone', async () => {
  const alone = await startTestEdge({ RATE_LIMITS: '{"user": ["6/min"]}' }, { ledger: false });
  try {
    const asked = asAdmin(() => alone);
    const to = '/admin/users/auth0%7C42/limits';
    const set = await asked('PUT', to, { rateLimits: { user: ['1/min'] } });
    expect([set.status, set.body]).toMatchObject([200, { userId: 'auth0|42', updatedBy: 'root' }]);
    const { updatedAt, limits } = set.body;
    expect((await asked('GET', to)).body).toMatchObject({ limits, updatedAt, updatedBy: 'root' });
    expect((await alone.call('auth0|42', 'GET', '/jobs')).headers.get('X-RateLimit-Limit')).toBe('1');
    await alone.gateway.redis.client.flushall();
    expect((await asked('GET', to)).body).toMatchObject({ limits: {} });
  } finally {
    await alone.stop();
  }
}, 30_000);
