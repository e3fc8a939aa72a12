import type { HostResources, Reservation } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { asAdmin } from '../../testing/admin.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge(
    { RATE_LIMITS: '{"user": [], "admin": ["20/min"]}', LIMITER_TIMEOUT_MS: '1000' },
    { ledger: false },
  );
});
afterAll(() => edge?.stop());
beforeEach(() => edge.gateway.redis.client.flushall());

const admin = asAdmin(() => edge);
const redis = () => edge.gateway.redis.client;
const NOW = Date.parse('2026-11-25T09:00:00.000Z');

/** Publishes a host as its worker does. */
async function publish(
  host: string,
  { machine = 'm1', leased = true, ...more }: Partial<HostResources> & { leased?: boolean } = {},
) {
  const resources = { machine, capacity: { memoryMb: 4096, cpus: 8, containers: 10 }, ...more };
  await redis().zadd(keys.hosts(), NOW, host);
  await redis().hset(keys.hostResources(), host, JSON.stringify(resources));
  if (leased) await redis().set(keys.hostLease(host), 'boot', 'PX', 60_000);
}

const reserve = (
  instance: string,
  host: string,
  containerId: string,
  more: Partial<Reservation['vector']> = {},
) =>
  redis().hset(
    keys.reservations('m1'),
    instance,
    JSON.stringify({
      containerId,
      host,
      vector: { memoryMb: 512, cpus: 0.1, diskMb: 0, gpus: 0, containers: 1, ...more },
      at: NOW,
    }),
  );

test('hosts are listed with their capacity, and with what is reserved on them and on their machine', async () => {
  await publish('b', {
    images: ['warmwind/desktop:latest'],
    versions: { worker: '1.0.0', engine: '28' },
    gpuIds: ['GPU-1'],
  });
  await publish('a');
  await publish('c', { machine: 'm2' });
  await reserve('i1', 'b', 'c1');
  await reserve('i2', 'b', 'c2', { cpus: 0.2, gpus: 1 });
  await reserve('i3', 'b', '');
  await reserve('i4', 'a', 'c3');
  const { status, body } = await admin('GET', '/admin/hosts');
  expect(status).toBe(200);
  const capacity = { memoryMb: 4096, cpus: 8, containers: 10 };
  const machineUsed = { memoryMb: 2048, cpus: 0.5, diskMb: 0, gpus: 1, containers: 4 };
  const common = { state: 'live', seenAt: '2026-11-25T09:00:00.000Z', machine: 'm1', capacity, machineUsed };
  const none = { memoryMb: 0, cpus: 0, diskMb: 0, gpus: 0, containers: 0 };
  expect(body.items).toEqual([
    {
      ...common,
      id: 'a',
      used: { ...none, memoryMb: 512, cpus: 0.1, containers: 1 },
      containers: 1,
      pooled: 0,
      gpuIds: [],
    },
    {
      ...common,
      id: 'b',
      used: { memoryMb: 1536, cpus: 0.4, diskMb: 0, gpus: 1, containers: 3 },
      containers: 2,
      pooled: 1,
      gpuIds: ['GPU-1'],
      images: ['warmwind/desktop:latest'],
      versions: { worker: '1.0.0', engine: '28' },
    },
    {
      ...common,
      id: 'c',
      machine: 'm2',
      used: none,
      machineUsed: none,
      containers: 0,
      pooled: 0,
      gpuIds: [],
    },
  ]);
});

test('a host without a lease is silent; one that can not be read hides no other', async () => {
  await publish('a', { leased: false });
  await publish('b');
  await redis().hset(keys.hostResources(), 'b', '{"machine":');
  await redis().hset(keys.reservations('m1'), 'i1', 'nothing');
  await redis().zadd(keys.hosts(), NOW, 'constructor');
  const { body } = await admin('GET', '/admin/hosts');
  expect(body.items).toMatchObject([
    { id: 'a', state: 'silent' },
    { id: 'b', state: 'live', capacity: {} },
    { id: 'constructor', state: 'silent', capacity: {}, containers: 0 },
  ]);
  await redis().flushall();
  expect((await admin('GET', '/admin/hosts')).body).toEqual({ items: [] });
});

test('a drain is requested once, however often, and ended', async () => {
  await publish('a');
  const first = await admin('POST', '/admin/hosts/a/drain');
  expect([first.status, first.body]).toMatchObject([200, { id: 'a', state: 'draining' }]);
  const again = await admin('POST', '/admin/hosts/a/drain');
  expect([again.status, again.body.drainingSince]).toEqual([200, first.body.drainingSince]);
  expect(JSON.parse((await redis().hget(keys.drainingHosts(), 'a')) ?? '')).toEqual({
    since: Date.parse(String(first.body.drainingSince)),
  });
  for (let i = 0; i < 2; i += 1) expect((await admin('DELETE', '/admin/hosts/a/drain')).status).toBe(204);
  expect(await redis().exists(keys.drainingHosts())).toBe(0);
  expect((await admin('GET', '/admin/hosts')).body.items).toMatchObject([{ id: 'a', state: 'live' }]);
});

test('a host that was lost while it drained is listed, and its drain can be ended', async () => {
  await publish('a');
  await admin('POST', '/admin/hosts/a/drain');
  await redis().del(keys.hosts(), keys.hostResources(), keys.hostLease('a'));
  expect((await admin('GET', '/admin/hosts')).body.items).toMatchObject([{ id: 'a', state: 'silent' }]);
  expect((await admin('DELETE', '/admin/hosts/a/drain')).status).toBe(204);
  expect((await admin('GET', '/admin/hosts')).body.items).toEqual([]);
});

test.each(['nobody', 'constructor', '__proto__', '%7Bhosts%7D', 'a%2Fb'])(
  'no host is named %s: 404, and nothing is recorded',
  async (host) => {
    await publish('a');
    for (const method of ['POST', 'DELETE']) {
      const { status, body } = await admin(method, `/admin/hosts/${host}/drain`);
      expect([method, status, body.code]).toEqual([method, 404, 'not_found']);
    }
    expect(await redis().exists(keys.drainingHosts())).toBe(0);
  },
);

test('400 for a query parameter', async () => {
  expect((await admin('GET', '/admin/hosts?state=live')).status).toBe(400);
  expect((await admin('POST', '/admin/hosts/a/drain?force=1')).status).toBe(400);
});

test('403 for a user without the role, whatever the route, and 401 without a token', async () => {
  await publish('a');
  for (const [method, path] of [
    ['GET', '/admin/hosts'],
    ['POST', '/admin/hosts/a/drain'],
    ['DELETE', '/admin/hosts/a/drain'],
    ['GET', '/admin/nothing'],
  ] as const) {
    const { status, body } = await edge.call('ada', method, path);
    expect([path, status, body.code]).toEqual([path, 403, 'admin_required']);
    expect((await edge.call(undefined, method, path)).status).toBe(401);
  }
  expect(await redis().exists(keys.drainingHosts())).toBe(0);
  expect((await admin('GET', '/admin/nothing')).status).toBe(404);
});

test('429 by a limit of its own, also for users without the role', async () => {
  for (let i = 0; i < 20; i += 1) expect((await edge.call('eve', 'GET', '/admin/hosts')).status).toBe(403);
  const denied = await edge.call('eve', 'GET', '/admin/hosts');
  expect([denied.status, denied.body.code]).toEqual([429, 'rate_limited']);
  expect((await edge.call('eve', 'GET', '/containers')).status).toBe(200);
  expect((await admin('GET', '/admin/hosts')).status).toBe(200);
});

test('503 while Redis does not answer', async () => {
  edge.gateway.redis.freeze();
  try {
    expect((await admin('GET', '/admin/hosts')).status).toBe(503);
  } finally {
    edge.gateway.redis.thaw();
  }
}, 30_000);
