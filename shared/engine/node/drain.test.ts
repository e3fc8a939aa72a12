import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../../../infra/quality/testing/postgres.ts';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { createLog } from '../../runtime/node/log.ts';
import { keys } from '../keys.ts';
import { containerRow, jobRow } from '../ledger/rows.ts';
import { recordSubmission } from '../ledger/submissions.ts';
import { MAX_CHANGES } from '../records.ts';
import { Drain } from './drain.ts';
import { Ledger } from './ledger.ts';
import { Publisher } from './publisher.ts';
import { type JobRef, Records } from './records.ts';

const user = 'u1';
const ref: JobRef = { userId: user, jobId: 'j1', run: 1, kind: 'container.start', containerId: 'c1' };
const desktop = { userId: user, containerId: 'c1' };
const log = createLog('test');
log.level = 'silent';
let redis: TestRedis;
let postgres: TestPostgres;
let connection: Redis;
let ledger: Ledger;
let records: Records;
let drain: Drain;
let dropped = 0;

beforeAll(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres({ migrated: true })]);
  connection = new Redis(redis.url);
  ledger = new Ledger(postgres.url, 'test', log, 1000);
  records = new Records(connection, new Publisher(connection, log), ledger);
  drain = new Drain({ redis: connection, ledger, log, onDropped: () => dropped++ });
});
afterAll(async () => {
  connection?.disconnect();
  await ledger?.close();
  await Promise.all([redis?.stop(), postgres?.stop()]);
});

/** Writes the records of a submission into Redis and, as the edge does, the ledger. */
async function submitted(recorded = true): Promise<void> {
  const job = {
    id: 'j1',
    kind: ref.kind,
    state: 'queued',
    run: '1',
    fence: '0',
    createdAt: '1000',
    containerId: 'c1',
  };
  const container = {
    id: 'c1',
    state: 'requested',
    fence: '0',
    createdAt: '1000',
    jobId: 'j1',
    spec: '{"a":"b"}',
  };
  await connection.hset(keys.job(user, 'j1'), { ...job, queue: 'containers', requestId: 'r' });
  await connection.hset(keys.container(user, 'c1'), { ...container, width: '8', height: '6' });
  if (!recorded) return;
  const rows = {
    job: jobRow(user, job),
    containers: [containerRow(user, container)],
    idempotency: undefined,
  };
  await ledger.run((db) => recordSubmission(db, rows));
}
async function all(): Promise<void> {
  while ((await drain.once()) > 0);
}
const claimed = async (): Promise<number> => {
  const claim = await records.jobs.claim(ref, 0);
  if (claim.verdict !== 'ok') throw new Error(claim.verdict);
  return claim.fence;
};
const row = async () => (await postgres.sql`select state, fence from jobs where id = 'j1'`)[0];
const waiting = () => connection.xlen(keys.changes(user));
const running = { to: 'running' as const, startedAt: 1, expiresAt: 2, width: 8, height: 6 };

beforeEach(async () => {
  await connection.flushall();
  await postgres.sql`truncate jobs, job_changes, containers, container_changes, usage_days`;
  dropped = 0;
});

test('every change of a run and its desktop reaches the ledger once, and no change waits after that', async () => {
  await submitted();
  const fence = await claimed();
  await records.containers.assign(desktop, { fence: 0, host: 'a', boot: 'b1', instanceId: 'i-b1' });
  await records.containers.change(desktop, { ...running, fence: 1 });
  await records.jobs.end(ref, { state: 'completed', result: { containerId: 'c1' } }, fence, 1);
  const again = new Drain({ redis: connection, ledger, log });
  await Promise.all([all(), (async () => void (await again.once()))()]);
  expect(await row()).toEqual({ state: 'completed', fence: 1 });
  const jobs = await postgres.sql`select state from job_changes order by at, seq`;
  expect(jobs.map(({ state }) => state)).toEqual(['queued', 'active', 'completed']);
  const desktops = await postgres.sql`select state, host from container_changes order by state`;
  expect(desktops).toEqual([
    { state: 'requested', host: '' },
    { state: 'running', host: 'a' },
    { state: 'starting', host: 'a' },
  ]);
  expect(await postgres.sql`select jobs from usage_days`).toEqual([{ jobs: 1 }]);
  expect(await waiting()).toBe(0);
  await waitFor('no mark', async () => {
    await all();
    return (await connection.exists(keys.changedUsers())) === 0;
  });
});

test("rows that the ledger lacks are created from changes, a desktop's with the spec of its record", async () => {
  await submitted(false);
  await claimed();
  await records.containers.change(desktop, { to: 'stopping', fence: 0 });
  await all();
  expect(await row()).toEqual({ state: 'active', fence: 1 });
  expect(await postgres.sql`select state, spec from containers`).toEqual([
    { state: 'stopping', spec: { a: 'b' } },
  ]);
});

test('changes wait while the ledger is unavailable or silent, and are written when it recovers', async () => {
  await submitted();
  postgres.freeze();
  try {
    const fence = await claimed();
    await expect(drain.once()).rejects.toThrow('no answer');
    expect(await records.jobs.end(ref, { state: 'failed' }, fence)).toBe('ok');
    expect(await waiting()).toBe(2);
  } finally {
    postgres.thaw();
  }
  await postgres.kill();
  await expect(drain.once()).rejects.toThrow('not reachable');
  await postgres.restart();
  await all();
  expect(await row()).toEqual({ state: 'failed', fence: 1 });
});

test('a change that the ledger refuses is dropped and counted, and delays no other', async () => {
  await submitted();
  const bad = JSON.stringify({ id: 'bad\u0000', kind: 'x', state: 'active', createdAt: '1' });
  await connection.xadd(keys.changes(user), '*', 'k', 'job', 't', '1', 'r', bad);
  await connection.xadd(keys.changes(user), '*', 'k', 'job', 't', 'x', 'r', '{');
  await claimed();
  await all();
  expect(await row()).toEqual({ state: 'active', fence: 1 });
  expect(dropped).toBe(2);
  expect(await waiting()).toBe(0);
});

test('the changes that wait for the ledger are bounded, and the newest is kept', async () => {
  await submitted();
  const fill = connection.pipeline();
  for (let i = 0; i < MAX_CHANGES + 5; i++)
    fill.xadd(keys.changes(user), '*', 'k', 'job', 't', '1', 'r', '{}');
  await fill.exec();
  await claimed();
  expect(await waiting()).toBe(MAX_CHANGES);
  const [newest] = await connection.xrevrange(keys.changes(user), '+', '-', 'COUNT', 1);
  expect(newest?.[1].join()).toContain('"state":"active"');
});

test('a run and a desktop that Redis has lost continue from the ledger', async () => {
  await submitted();
  const fence = await claimed();
  await records.containers.assign(desktop, { fence: 0, host: 'a', boot: 'b1', instanceId: 'i-b1' });
  await all();
  await connection.flushall();
  expect(await records.containers.change(desktop, { ...running, fence: 1, from: ['starting'] })).toBe('ok');
  expect(await records.jobs.end(ref, { state: 'completed' }, fence, 1)).toBe('ok');
  expect(await records.containers.get(desktop)).toMatchObject({
    state: 'running',
    host: 'a',
    boot: 'b1',
    fence: 1,
  });
  expect(await connection.smembers(keys.hostContainers('a'))).toEqual(['u1/c1']);
  await connection.flushall();
  expect(await records.jobs.status(user, 'j1')).toMatchObject({ state: 'active', run: 1 });
});

test('a record with another end than the one in the ledger is corrected: the first end stands', async () => {
  await submitted();
  await records.containers.assign(desktop, { fence: 0, host: 'a', boot: 'b1', instanceId: 'i-b1' });
  await records.containers.change(desktop, { to: 'stopped', fence: 1 });
  await records.jobs.end(ref, { state: 'completed', result: { a: 1 } }, await claimed(), 1);
  await all();
  await connection.hset(keys.job(user, 'j1'), { state: 'queued' });
  await connection.hset(keys.container(user, 'c1'), { state: 'running' });
  const error = { code: 'x', message: 'm', retryable: false };
  expect(await records.jobs.end(ref, { state: 'failed', error }, await claimed(), 1)).toBe('ok');
  expect(await records.containers.change(desktop, { to: 'failed', fence: 1, error })).toBe('ok');
  await all();
  expect(await connection.hgetall(keys.job(user, 'j1'))).toMatchObject({
    state: 'completed',
    result: '{"a":1}',
  });
  expect(await connection.hexists(keys.job(user, 'j1'), 'error')).toBe(0);
  expect(await records.containers.get(desktop)).toMatchObject({ state: 'stopped', error: undefined });
  expect(await postgres.sql`select jobs from usage_days where jobs > 0`).toEqual([{ jobs: 1 }]);
});

test('a placement that Redis has lost stands: no second host gets the desktop', async () => {
  await submitted();
  await records.containers.assign(desktop, { fence: 0, host: 'a', boot: 'b1', instanceId: 'i-b1' });
  await connection.hset(keys.container(user, 'c1'), { state: 'requested', fence: '0', host: '', boot: '' });
  const second = await records.containers.assign(desktop, {
    fence: 0,
    host: 'b',
    boot: 'b2',
    instanceId: 'i-b2',
  });
  expect(second).toEqual({ verdict: 'taken', state: 'starting', host: 'a', boot: 'b1', fence: 1 });
  expect(await records.containers.get(desktop)).toMatchObject({ state: 'starting', host: 'a', boot: 'b1' });
  expect(await records.containers.change(desktop, { ...running, fence: 1 })).toBe('ok');
});

test('without the ledger nothing is placed, and reads and claims of missing records reject', async () => {
  await submitted();
  await postgres.kill();
  try {
    await expect(
      records.containers.assign(desktop, { fence: 0, host: 'a', boot: 'b1', instanceId: 'i-b1' }),
    ).rejects.toThrow('not reachable');
    expect(await records.containers.get(desktop)).toMatchObject({ state: 'requested', host: '', fence: 0 });
    await expect(records.containers.get({ ...desktop, containerId: 'c2' })).rejects.toThrow('not reachable');
    await connection.flushall();
    await expect(records.jobs.claim(ref, 0)).rejects.toThrow('not reachable');
  } finally {
    await postgres.restart();
  }
  expect(await claimed()).toBe(1);
  expect(
    await records.containers.assign(desktop, { fence: 0, host: 'a', boot: 'b1', instanceId: 'i-b1' }),
  ).toMatchObject({ verdict: 'ok' });
});
