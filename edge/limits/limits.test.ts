import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';

let edge: TestEdge;
/** Another user in each test: the edge keeps denials in memory when the stores are emptied. */
let user = 'ada';
let users = 0;

beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"user": ["6/min", "100/h"], "containers.start": ["2/min"]}' });
});
afterAll(() => edge?.stop());
beforeEach(async () => {
  await edge.gateway.redis.client.flushall();
  edge.lines.length = 0;
  user = `ada-${users++}`;
});

const get = (path: string) => edge.call(user, 'GET', path);
const post = (path: string, body?: unknown, headers = {}) => edge.call(user, 'POST', path, { body, headers });
const used = () => edge.gateway.redis.client.zcard(keys.limit(user, 'user'));

describe('a limited answer', () => {
  test('carries the headers of the contract', async () => {
    const { headers } = await get('/jobs');
    expect(headers.get('X-RateLimit-Limit')).toBe('6');
    expect(headers.get('X-RateLimit-Remaining')).toBe('5');
    expect(Number(headers.get('X-RateLimit-Reset'))).toBeGreaterThan(Date.now() / 1000);
    expect(headers.get('RateLimit-Policy')).toBe('"6/min";q=6;w=60, "100/h";q=100;w=3600');
    expect(headers.get('RateLimit')).toBe('"6/min";r=5;t=60, "100/h";r=99;t=3600');
  });

  test('429: reports when to retry, in header and body, and consumes nothing', async () => {
    for (let i = 0; i < 6; i += 1) expect((await get('/jobs')).status).toBe(200);
    const denied = await get('/jobs');
    expect([denied.status, denied.body.code]).toEqual([429, 'rate_limited']);
    expect(denied.headers.get('X-RateLimit-Remaining')).toBe('0');
    const retryAfter = Number(denied.headers.get('Retry-After'));
    expect(retryAfter).toBeGreaterThanOrEqual(1);
    expect(retryAfter).toBe(Math.ceil(Number(denied.body.retryAfterMs) / 1000));
    expect(await used()).toBe(6);
  });

  test('denials are logged once per user and window', async () => {
    for (let i = 0; i < 10; i += 1) await get('/jobs');
    expect(edge.lines.filter((line) => line.includes('"rate limited"'))).toHaveLength(1);
  });

  test('a user that keeps sending requests is refused without trips', async () => {
    for (let i = 0; i < 7; i += 1) await get('/jobs');
    expect((await post('/inference', { model: 'm', prompt: 'p' })).status).toBe(429);
    edge.trips();
    for (let i = 0; i < 8; i += 1) {
      const denied = await get('/jobs');
      expect([denied.status, denied.headers.get('X-RateLimit-Remaining')]).toEqual([429, '0']);
      expect(Number(denied.body.retryAfterMs)).toBeGreaterThan(1000);
    }
    // The limiter is asked once a second.
    expect(edge.trips()).toBeLessThan(6);
  });

  test('a flood of refused requests waits, and other users are answered meanwhile', async () => {
    for (let i = 0; i < 7; i += 1) await get('/jobs');
    const order: number[] = [];
    const ask = async (asked: Promise<{ status: number }>) => order.push((await asked).status);
    const flood = Array.from({ length: 60 }, () => ask(get('/jobs')));
    const other = ask(edge.call(`${user}-other`, 'GET', '/jobs'));
    await Promise.all([...flood, other]);
    expect(order.filter((status) => status === 429)).toHaveLength(60);
    expect(order.indexOf(200)).toBeLessThan(60);
  });

  test('a denial ends when the limiter has lost its log', async () => {
    for (let i = 0; i < 7; i += 1) await get('/jobs');
    await edge.gateway.redis.client.flushall();
    await waitFor('the limiter to be asked again', async () => (await get('/jobs')).status === 200);
  });

  test('concurrent requests never get more than the limit', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => get('/jobs')));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(6);
  });

  test("a start counts against the user's tiers and its own, and the tightest is shown", async () => {
    const first = await post('/containers/start');
    expect(first.headers.get('X-RateLimit-Limit')).toBe('2');
    expect(first.headers.get('RateLimit-Policy')).toContain('"containers.start 2/min";q=2;w=60');
    await post('/containers/start');
    const denied = await post('/containers/start');
    expect(denied.status).toBe(429);
    expect(denied.body.message).toMatch(
      /^Over the limit of containers\.start 2\/min: try again in \d+ seconds?\.$/,
    );
    expect(denied.body.retryAfterMs).toBeGreaterThan(1000);
    expect(await used()).toBe(2);
    expect((await get('/jobs')).status).toBe(200);
  });

  test.each([
    ['400', () => post('/containers/start', { width: 1 })],
    ['400 (no JSON)', () => post('/containers/start', '{')],
    ['404', () => post('/containers/none/stop')],
    ['404 (no id)', () => post('/containers/a%7Db/stop')],
    ['404 (no route)', () => get('/none')],
    ['413', () => post('/containers/start', 'x'.repeat(300_000))],
    ['415', () => post('/containers/start', '{}', { 'Content-Type': 'text/plain' })],
    ['400 of a ticket', () => post('/realtime/token', { mode: 'x' })],
  ])('a %s consumes once, as any other answer', async (status, request) => {
    const answer = await request();
    expect(String(answer.status)).toBe(status.slice(0, 3));
    expect(await used()).toBe(1);
    expect(answer.headers.get('X-RateLimit-Limit')).not.toBeNull();
  });

  test('a replay consumes; over the limit even a malformed request is 429', async () => {
    const once = { 'Idempotency-Key': 'k' };
    await post('/containers/start', undefined, once);
    await post('/containers/start', undefined, once);
    expect(await used()).toBe(2);
    expect((await post('/containers/start', { width: 1 })).status).toBe(429);
    expect(await used()).toBe(2);
  });

  test.each(['/', '/docs', '/openapi.json', '/health/live', '/health/ready'])(
    '%s is not limited',
    async (path) => {
      const { status, headers } = await edge.call(undefined, 'GET', path);
      expect([status, headers.get('RateLimit')]).toEqual([200, null]);
      expect(await edge.gateway.redis.client.keys('*limit*')).toEqual([]);
    },
  );
});

describe('GET /limits', () => {
  test('200: all tiers and quotas, and consumes nothing', async () => {
    await post('/containers/start');
    await get('/limits');
    const { status, body } = await get('/limits');
    expect(status).toBe(200);
    expect(body.tiers).toMatchObject([
      { name: '6/min', limit: 6, windowMs: 60_000, remaining: 5 },
      { name: '100/h', limit: 100, windowMs: 3_600_000, remaining: 99 },
      { name: 'containers.start 2/min', limit: 2, windowMs: 60_000, remaining: 1 },
      { name: 'containers.actions 20/s', limit: 20, windowMs: 1000, remaining: 20 },
      { name: 'containers.actions 600/min', limit: 600, windowMs: 60_000, remaining: 600 },
      { name: 'containers.files 20/s', limit: 20, windowMs: 1000, remaining: 20 },
      { name: 'containers.files 600/min', limit: 600, windowMs: 60_000, remaining: 600 },
      { name: 'webhooks 2/s', limit: 2, windowMs: 1000, remaining: 2 },
      { name: 'webhooks 30/min', limit: 30, windowMs: 60_000, remaining: 30 },
    ]);
    expect(body.quotas).toEqual([
      { name: 'jobs', limit: 1000, used: 1 },
      { name: 'desktops', limit: 20, used: 1 },
    ]);
    expect(await used()).toBe(1);
  });
});
