import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { containerStart } from '../../contract/commands/container-start.ts';
import { containerStop } from '../../contract/commands/container-stop.ts';
import { StoredEvent } from '../../contract/events.ts';
import { planOf } from '../../contract/plan.ts';
import { parseJson } from '../../runtime/json.ts';
import { createLog } from '../../runtime/node/log.ts';
import { keys, recordPrefixes, roomKeys } from '../keys.ts';
import { submitKeys } from '../records.ts';
import { submitJob } from '../scripts/submit.lua.ts';
import { Publisher } from './publisher.ts';
import { type JobRef, Records } from './records.ts';

const user = 'u1';
const ref: JobRef = { userId: user, jobId: 'j1', run: 1, kind: 'container.start', containerId: 'c1' };
let redis: TestRedis;
let connection: Redis;
let records: Records;

beforeAll(async () => {
  redis = await startRedis();
  connection = new Redis(redis.url);
  const log = createLog('test');
  records = new Records(connection, new Publisher(connection, log));
});
afterAll(async () => {
  connection.disconnect();
  await redis.stop();
});

const submit = async (action: 'start' | 'stop', jobId: string) => {
  const { containerId } = ref;
  const names = submitKeys(user, [], { jobId, idempotencyHash: 'k' });
  const container = { id: containerId, name: 'n', width: '1', height: '1' };
  const about =
    action === 'start'
      ? { plan: planOf(containerStart, 'placements'), containers: [container] }
      : { plan: planOf(containerStop, 'control'), containerId };
  const request = {
    ...about,
    nonce: jobId,
    scopes: [],
    userId: user,
    prefixes: recordPrefixes(user),
    job: { id: jobId, kind: `container.${action}`, requestId: 'r' },
    quotas: { jobs: 9, desktops: 9 },
    openTtlMs: 60_000,
    unconfirmedTtlMs: { record: 60_000, key: 60_000 },
    reservationMs: 60_000,
  };
  const [, verdict] = submitJob.read(
    await redis.client.eval(submitJob.lua, names.length, ...names, JSON.stringify(request)),
  );
  return verdict;
};
const eventsOf = async (room: string): Promise<string[]> => {
  const entries = await redis.client.xrange(roomKeys.log(user, room), '-', '+');
  return entries.map(([, fields]) => parseJson(StoredEvent, fields[3] ?? '').type);
};

beforeEach(async () => {
  await redis.client.flushall();
  await submit('start', 'j1');
});

test('the first end stands and is published once, whichever process records another', async () => {
  const claim = await records.jobs.claim(ref, 0);
  if (claim.verdict !== 'ok') throw new Error('not claimed');
  expect(await records.jobs.end(ref, { state: 'cancelled' })).toBe('ok');
  expect(await records.jobs.end(ref, { state: 'completed', result: {} }, claim.fence, 1)).toBe('ended');
  expect(await records.jobs.status(user, 'j1')).toMatchObject({ state: 'cancelled', run: 1 });
  expect(await eventsOf('job:j1')).toEqual(['job.queued', 'job.active', 'job.cancelled']);
});

test('a holder with an older fence changes and publishes nothing', async () => {
  const old = await records.jobs.claim(ref, 0);
  const next = await records.jobs.claim(ref, 0);
  if (old.verdict !== 'ok' || next.verdict !== 'ok') throw new Error('not claimed');
  expect(await records.jobs.progress(ref, old.fence, 1, { percent: 50 })).toBe('stale');
  expect(await records.jobs.end(ref, { state: 'completed' }, old.fence)).toBe('stale');
  expect(await records.jobs.progress(ref, next.fence, 1, { percent: 10 })).toBe('ok');
  expect(await eventsOf('job:j1')).toEqual(['job.queued', 'job.active', 'job.active', 'job.progress']);
});

test('one of two hosts gets the desktop, and another may take it after it was released', async () => {
  const first = await records.containers.assign(ref, {
    fence: 0,
    host: 'a',
    boot: 'boot-a',
    instanceId: 'i-boot-a',
  });
  const second = await records.containers.assign(ref, {
    fence: 0,
    host: 'b',
    boot: 'boot-b',
    instanceId: 'i-boot-b',
  });
  expect(first).toEqual({ verdict: 'ok', fence: 1 });
  expect(second).toMatchObject({ verdict: 'taken', host: 'a', boot: 'boot-a', fence: 1 });
  expect(await records.containers.change(ref, { to: 'requested', fence: 1 })).toBe('ok');
  expect(await records.containers.get(ref)).toMatchObject({ state: 'requested', host: '', boot: '' });
  expect(
    await records.containers.assign(ref, { fence: 1, host: 'b', boot: 'boot-b', instanceId: 'i-boot-b' }),
  ).toEqual({ verdict: 'ok', fence: 2 });
  expect(await records.containers.change(ref, { to: 'failed', fence: 1, error: undefined })).toBe('refused');
});

test('a desktop that was released and then stopped is never placed again', async () => {
  await records.containers.assign(ref, { fence: 0, host: 'a', boot: 'boot-a', instanceId: 'i-boot-a' });
  await records.containers.change(ref, { to: 'requested', fence: 1 });
  expect(await submit('stop', 'j2')).toMatchObject({ verdict: 'accepted', queue: 'containers' });
  expect(
    await records.containers.assign(ref, { fence: 1, host: 'b', boot: 'boot-b', instanceId: 'i-boot-b' }),
  ).toMatchObject({
    verdict: 'taken',
    state: 'stopping',
  });
});

test('a desktop ends once, and its end frees its share of the quota', async () => {
  await records.containers.assign(ref, { fence: 0, host: 'a', boot: 'boot-a', instanceId: 'i-boot-a' });
  const running = { to: 'running' as const, startedAt: 1, expiresAt: 2, width: 1, height: 1 };
  await records.containers.change(ref, { ...running, fence: 1 });
  expect(await records.containers.change(ref, { to: 'stopping', fence: 1 })).toBe('ok');
  expect(await records.containers.change(ref, { to: 'stopping', fence: 1 })).toBe('ok');
  expect(await records.containers.change(ref, { to: 'stopped', fence: 1 })).toBe('ok');
  expect(await records.containers.change(ref, { to: 'lost', fence: 1 })).toBe('refused');
  expect(await redis.client.zcard(keys.openContainers(user))).toBe(0);
  expect(await eventsOf('container:c1')).toEqual([
    'container.starting',
    'container.started',
    'container.stopping',
    'container.stopped',
  ]);
});
