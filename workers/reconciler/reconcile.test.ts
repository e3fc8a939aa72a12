import { newId } from '@warmwind/shared/contract/ids';
import type { UserLimits } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import { recordPlacement } from '@warmwind/shared/engine/ledger/placements';
import { readContainer, readJob } from '@warmwind/shared/engine/ledger/reads';
import { pruneUserLimits } from '@warmwind/shared/engine/ledger/retention';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { readUsage } from '@warmwind/shared/engine/ledger/usage';
import { listUserLimits, writeUserLimits } from '@warmwind/shared/engine/ledger/user-limits';
import { Drain } from '@warmwind/shared/engine/node/drain';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records, type RunUpdate } from '@warmwind/shared/engine/node/records';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/engine/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, waitForEvents } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';
import type { ReconcilerOptions } from './context.ts';
import { Reconciler } from './reconcile.ts';

const log = createLog('test');
log.level = 'silent';
const NOTHING = { reenqueued: 0, restored: 0, closed: 0, recorded: 0 };
let fleet: Fleet;
let redis: Redis;
let realtime: Redis;
let records: Records;
let drain: Drain;
const workers: Worker[] = [];

beforeAll(async () => {
  fleet = await createFleet();
  redis = connectQueueing(fleet.queueRedis.url, 'test', log);
  realtime = connectQueueing(fleet.realtime.url, 'test', log);
  records = new Records(redis, new Publisher(realtime, log), fleet.ledger);
  drain = new Drain({ redis, ledger: fleet.ledger, log });
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await Promise.all([redis, realtime].map((connection) => disconnect(connection)));
  await fleet?.stop();
});
beforeEach(async () => {
  await redis.flushall();
  await fleet.postgres
    .sql`truncate jobs, job_changes, containers, container_changes, idempotency_keys, usage_days, user_limits`;
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close()));
});

/** Everything is old enough unless a test says otherwise. */
const reconciler = (more: Partial<ReconcilerOptions> = {}) =>
  new Reconciler({
    redis,
    ledger: fleet.ledger,
    records,
    queue: fleet.queue,
    log,
    afterMs: -1000,
    skip: () => undefined,
    ...more,
  });
const reconcile = () => reconciler().reconcile();
const entries = () => fleet.queue('containers').getJobs(['waiting', 'prioritized']);
const waiting = async () => (await entries()).map(({ id }) => id);
const jobRecord = ({ userId, jobId }: Submitted) => redis.hgetall(keys.job(userId, jobId));
const desktopRecord = ({ userId, containerId }: Submitted) =>
  redis.hgetall(keys.container(userId, containerId));
const rowOf = ({ userId, jobId }: Submitted) => fleet.ledger.run((db) => readJob(db, userId, jobId));
const desktopRowOf = ({ userId, containerId }: Submitted) =>
  fleet.ledger.run((db) => readContainer(db, userId, containerId));
const drained = async () => {
  while ((await drain.once()) > 0);
};
/** Loses the changes that wait for the ledger. */
const forgetChanges = ({ userId }: Submitted) => redis.del(keys.changes(userId), keys.changedUsers());

/** A BullMQ worker that leaves the records alone. */
const losingQueue = (work: () => Promise<unknown>) => {
  const options = { connection: redis, prefix: keys.bullmqPrefix('containers') };
  workers.push(new Worker('containers', work, options));
};
/** A desktop that host `a` has placed, in Redis and in the ledger. */
const placed = async () => {
  const start = await fleet.startDesktop();
  const placement = await records.containers.assign(start, {
    fence: 0,
    host: 'a',
    boot: 'boot',
    instanceId: 'i1',
  });
  if (placement.verdict !== 'ok') throw new Error('not placed');
  return { ...start, fence: placement.fence };
};
const RUNNING = { to: 'running', startedAt: 1_000, expiresAt: 2_000, width: 8, height: 6 } as const;

test('consistent records, queues and ledger are left alone', async () => {
  const start = await placed();
  await records.containers.change(start, { ...RUNNING, fence: start.fence });
  await fleet.startDesktop();
  await drained();
  expect(await reconcile()).toEqual(NOTHING);
  expect(await reconciler().reconcile({ full: true })).toEqual(NOTHING);
});

test('recent ends are published once more after a restart of Redis, which may have lost them', async () => {
  const updates: RunUpdate[] = [];
  const publisher = new Publisher(realtime, log);
  const publishing = new Records(redis, publisher, fleet.ledger, async (one) => void updates.push(one));
  const start = await fleet.startDesktop();
  await redis.hset(keys.job(start.userId, start.jobId), 'webhookUrl', 'http://hooks.test/');
  await fleet.postgres.sql`update jobs set webhook_url = 'http://hooks.test/'`;
  const claim = await records.jobs.claim(start.data, 0);
  if (claim.verdict !== 'ok') throw new Error('not claimed');
  await records.jobs.end(start.data, { state: 'cancelled' }, claim.fence, 0);
  await drained();
  const ours = reconciler({ records: publishing });
  await ours.reconcile();
  const row = await rowOf(start);
  const ref = { userId: start.userId, jobId: start.jobId, run: 1 };
  // Its entry in the queue, which has ended, was published before.
  const before = updates.length;
  expect(updates.slice(-2)).toMatchObject([
    { ref, webhook: true, at: row?.startedAt?.getTime(), attemptsMade: 0, end: undefined },
    { ref, webhook: true, at: row?.finishedAt?.getTime(), end: { state: 'cancelled' } },
  ]);
  await ours.reconcile();
  expect(updates).toHaveLength(before);
  publisher.close();
});

describe('a job that the ledger holds open', () => {
  test('is restored and added again when Redis has lost it, with its desktop, indices and idempotency key', async () => {
    const start = await fleet.startDesktop();
    const [job, desktop] = [await jobRecord(start), await desktopRecord(start)];
    await redis.flushall();
    expect(await reconcile()).toEqual({ ...NOTHING, restored: 2, reenqueued: 1 });
    expect(await jobRecord(start)).toEqual(job);
    expect(await desktopRecord(start)).toMatchObject(desktop);
    expect(await waiting()).toEqual([start.jobId]);
    const [entry] = await entries();
    expect(entry?.data).toEqual(start.data);
    expect(entry?.opts).toMatchObject({ attempts: 3 });
    expect(await redis.zrange(keys.jobs(start.userId), '0', '-1')).toEqual([start.jobId]);
    expect(await redis.zcard(keys.openContainers(start.userId))).toBe(1);
    const key = keys.idempotency(start.userId, start.jobId);
    expect(JSON.parse((await redis.get(key)) ?? '')).toEqual({
      hash: `body-${start.jobId}`,
      jobId: start.jobId,
      containerId: start.containerId,
    });
    expect(await redis.pttl(key)).toBeGreaterThan(80_000_000);
    expect(await reconcile()).toEqual(NOTHING);
  });

  test('is not touched while it is young', async () => {
    await fleet.startDesktop();
    await redis.flushall();
    expect(await reconciler({ afterMs: 60_000 }).reconcile()).toEqual(NOTHING);
    expect(await redis.dbsize()).toBe(0);
  });

  test('is added again when only its queue has lost it', async () => {
    const start = await fleet.startDesktop();
    await fleet.queue('containers').remove(start.jobId);
    expect(await reconcile()).toEqual({ ...NOTHING, reenqueued: 1 });
    expect(await waiting()).toEqual([start.jobId]);
    expect(await reconcile()).toEqual(NOTHING);
  });

  test.each([
    ['completed', async () => null],
    [
      'failed',
      async () => {
        throw new Error('no');
      },
    ],
  ])('is added again when its queue has it as %s although it never ended', async (state, work) => {
    const start = await fleet.startDesktop();
    const entry = await fleet.queue('containers').getJob(start.jobId);
    await redis.hset(`ww:{containers}:containers:${start.jobId}`, 'opts', JSON.stringify({ attempts: 1 }));
    losingQueue(work);
    await waitFor('it to be finished', async () => (await entry?.getState()) === state);
    await workers.splice(0)[0]?.close();
    await fleet.postgres.sql`update jobs set created_at = created_at - interval '1 hour'`;
    expect(await reconciler({ afterMs: 60_000 }).reconcile()).toEqual(NOTHING);
    expect(await reconcile()).toEqual({ ...NOTHING, reenqueued: 1 });
    expect(await waiting()).toEqual([start.jobId]);
    expect(await reconcile()).toEqual(NOTHING);
  });

  test('is not added again while a worker holds it, nor while it waits for its next attempt', async () => {
    const [held, delayed] = [await fleet.startDesktop(), await fleet.startDesktop()];
    const entry = await fleet.queue('containers').getJob(delayed.jobId);
    await entry?.changeDelay(60_000).catch(() => undefined);
    let release = (): void => undefined;
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    losingQueue(() => until);
    await waitFor('it to be held', async () => (await fleet.queue('containers').getActiveCount()) === 1);
    expect(await reconcile()).toEqual(NOTHING);
    expect(await waiting()).not.toContain(held.jobId);
    release();
  });

  test('is restored under the fence of the ledger', async () => {
    const start = await fleet.startDesktop();
    const before = await jobRecord(start);
    await records.jobs.claim(start.data, 0);
    await drained();
    await redis.hset(keys.job(start.userId, start.jobId), before);
    expect(await reconcile()).toMatchObject({ restored: 1 });
    expect(await jobRecord(start)).toMatchObject({ state: 'active', fence: '1' });
  });

  test('is closed once, with its usage, when the change of its end is lost', async () => {
    const start = await fleet.startDesktop();
    await records.jobs.end(start.data, {
      state: 'failed',
      error: { code: 'x', message: 'm', retryable: false },
    });
    await forgetChanges(start);
    expect(await reconcile()).toMatchObject({ closed: 1 });
    expect(await rowOf(start)).toEqual(jobRow(start.userId, await jobRecord(start)));
    expect(await reconcile()).toMatchObject({ closed: 0 });
    const [usage] = await fleet.ledger.run((db) =>
      readUsage(db, start.userId, '2000-01-01', '2100-01-01', new Date()),
    );
    expect(usage?.jobs).toBe(1);
    const history = await fleet.postgres.sql`select state from job_changes order by at`;
    expect(history.map(({ state }) => state)).toEqual(['queued', 'failed']);
  });

  test('is left to the drain while its change still waits, and the drain finds it', async () => {
    const start = await fleet.startDesktop();
    await records.jobs.end(start.data, { state: 'cancelled' });
    await redis.del(keys.changedUsers());
    expect(await reconcile()).toMatchObject({ closed: 0 });
    expect(await rowOf(start)).toMatchObject({ state: 'queued' });
    await drained();
    expect(await rowOf(start)).toMatchObject({ state: 'cancelled' });
  });

  test('in the queue of a forgotten host puts that host on the list of the check for lost hosts', async () => {
    const start = await placed();
    const stop = await fleet.stopDesktop(start);
    expect(stop.queue).toBe('containers-a');
    await records.containers.change(start, { to: 'lost', fence: start.fence });
    await drained();
    await redis.flushall();
    await reconcile();
    expect(await redis.zrange(keys.hosts(), '0', '-1')).toEqual(['a']);
    expect(await fleet.queue('containers-a').getWaitingCount()).toBe(1);
  });
});

describe('an entry of a queue', () => {
  test('that the ledger lacks is recorded together with its desktop', async () => {
    const start = await fleet.startDesktop({ env: { A: '1' } }, 'ada', false);
    expect(await reconciler({ afterMs: 60_000 }).reconcile()).toEqual(NOTHING);
    expect(await reconcile()).toEqual({ ...NOTHING, recorded: 2 });
    expect(await rowOf(start)).toEqual(jobRow('ada', await jobRecord(start)));
    expect(await desktopRowOf(start)).toEqual(containerRow('ada', await desktopRecord(start)));
    expect((await desktopRowOf(start))?.spec).toMatchObject({ env: { A: '1' } });
    expect(await reconcile()).toEqual(NOTHING);
  });

  test('whose run has ended in the ledger is closed and removed, and its end published', async () => {
    const start = await fleet.startDesktop();
    const before = await jobRecord(start);
    const error = { code: 'x', message: 'm', retryable: false };
    await records.jobs.end(start.data, { state: 'failed', error });
    await drained();
    await fleet.realtime.client.flushall();
    const key = keys.job(start.userId, start.jobId);
    await redis.del(key);
    await redis.hset(key, before);
    expect(await reconcile()).toMatchObject({ closed: 1 });
    expect(await fleet.job(start)).toMatchObject({ state: 'failed', error });
    expect(await waiting()).toEqual([]);
    await waitForEvents(fleet, start, `job:${start.jobId}`, 'job.failed');
    expect(await reconcile()).toMatchObject({ closed: 0, reenqueued: 0 });
  });

  test('that can not be read is left alone', async () => {
    await fleet.queue('containers').add('container.start', { version: 99 });
    await fleet.queue('containers').add('container.start', { version: 1, jobId: '../..' });
    expect(await reconcile()).toEqual(NOTHING);
    expect(await waiting()).toHaveLength(2);
  });
});

describe('a desktop', () => {
  test('that Redis has lost is restored on its host', async () => {
    const start = await placed();
    await records.containers.change(start, { ...RUNNING, fence: start.fence });
    await drained();
    const before = await desktopRecord(start);
    await redis.flushall();
    const lostAt = Date.now();
    await reconcile();
    const restored = await desktopRecord(start);
    expect(restored).toEqual({ ...before, usedAt: restored.usedAt });
    // It may have been used since its last change.
    expect(Number(restored.usedAt)).toBeGreaterThanOrEqual(lostAt);
    expect(await records.containers.ofHost('a')).toEqual([
      { userId: start.userId, containerId: start.containerId },
    ]);
    expect(await redis.zrange(keys.hosts(), '0', '-1')).toEqual(['a']);
  });

  test('that Redis holds under an older placement is restored under the later one', async () => {
    const start = await fleet.startDesktop();
    const row = containerRow(start.userId, await desktopRecord(start));
    const later = { ...row, state: 'starting' as const, host: 'b', boot: 'x', fence: 2 };
    await fleet.ledger.run((db) => recordPlacement(db, later, new Date()));
    expect(await reconcile()).toEqual({ ...NOTHING, restored: 1 });
    expect(await desktopRecord(start)).toMatchObject({ state: 'starting', host: 'b', boot: 'x', fence: '2' });
  });

  test('whose running state Redis lost is recorded as running', async () => {
    const start = await placed();
    const before = await desktopRecord(start);
    await records.containers.change(start, { ...RUNNING, fence: start.fence });
    await drained();
    const key = keys.container(start.userId, start.containerId);
    await redis.del(key);
    await redis.hset(key, before);
    expect(await reconcile()).toMatchObject({ restored: 1 });
    expect(await desktopRecord(start)).toMatchObject({
      state: 'running',
      startedAt: '1000',
      expiresAt: '2000',
    });
  });

  test('whose extension Redis or the ledger lost is extended there, and not while its changes wait', async () => {
    const start = await placed();
    await records.containers.change(start, { ...RUNNING, fence: start.fence });
    await drained();
    const recordOf = async () => {
      const record = await records.containers.get(start);
      if (!record) throw new Error('no record');
      return record;
    };
    await records.containers.extend(await recordOf(), 9_000);
    expect(await reconcile()).toMatchObject({ restored: 0, recorded: 0 });
    await drained();
    const key = keys.container(start.userId, start.containerId);
    await redis.hset(key, { expiresAt: 2_000 });
    expect(await reconcile()).toMatchObject({ restored: 1 });
    expect((await recordOf()).expiresAt).toBe(9_000);
    await records.containers.extend(await recordOf(), 12_000);
    await forgetChanges(start);
    expect(await reconcile()).toMatchObject({ recorded: 1 });
    expect((await desktopRowOf(start))?.expiresAt?.getTime()).toBe(12_000);
  });

  test('whose time to live was shortened keeps it when the change is drained after its row was read', async () => {
    const start = await placed();
    await records.containers.change(start, { ...RUNNING, fence: start.fence, expiresAt: 9_000 });
    await drained();
    const record = await records.containers.get(start);
    if (!record) throw new Error('no record');
    await records.containers.extend(record, 5_000);
    const ledger: typeof fleet.ledger = Object.assign(Object.create(fleet.ledger), {
      run: async (...work: Parameters<typeof fleet.ledger.run>) => {
        const rows = await fleet.ledger.run(...work);
        if (JSON.stringify(rows).includes(new Date(9_000).toJSON())) await drained();
        return rows;
      },
    });
    expect(await reconciler({ ledger }).reconcile()).toEqual(NOTHING);
    expect(await desktopRecord(start)).toMatchObject({ expiresAt: '5000' });
    expect((await desktopRowOf(start))?.expiresAt?.getTime()).toBe(5_000);
  });

  test('that failed and whose end Redis lost has its error and exit again', async () => {
    const start = await placed();
    const before = await desktopRecord(start);
    const error = { code: 'desktop_exited', message: 'm', retryable: true };
    const exit = { exitCode: 3, oomKilled: false, output: 'no display' };
    await records.containers.change(start, { to: 'failed', fence: start.fence, error, exit });
    await drained();
    const key = keys.container(start.userId, start.containerId);
    await redis.del(key);
    await redis.hset(key, before);
    await redis.zadd(keys.hosts(), Date.now(), 'a');
    expect(await reconcile()).toMatchObject({ closed: 1 });
    expect(await records.containers.get(start)).toMatchObject({ state: 'failed', error, exit });
  });

  test('of a cancelled start whose follow-up was lost is stopped', async () => {
    const start = await fleet.startDesktop();
    await fleet.cancel(start);
    await drained();
    await redis.flushall();
    await fleet.realtime.client.flushall();
    expect(await reconcile()).toMatchObject({ closed: 1 });
    expect(await desktopRecord(start)).toMatchObject({ state: 'stopped' });
    await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.stopped');
    await drained();
    expect(await reconcile()).toEqual(NOTHING);
  });

  test('whose end the ledger lacks is closed there', async () => {
    const start = await placed();
    await records.containers.change(start, { to: 'lost', fence: start.fence });
    await forgetChanges(start);
    expect(await reconcile()).toMatchObject({ closed: 1 });
    expect(await desktopRowOf(start)).toMatchObject({ state: 'lost', endedAt: expect.any(Date) });
    expect(await reconcile()).toMatchObject({ closed: 0 });
  });

  test('whose end Redis lost is closed there, and the end published with its reason', async () => {
    const start = await placed();
    const before = await desktopRecord(start);
    await records.containers.change(start, { to: 'stopped', fence: start.fence, reason: 'idle' });
    await drained();
    await fleet.realtime.client.flushall();
    const key = keys.container(start.userId, start.containerId);
    await redis.del(key);
    await redis.hset(key, before);
    await redis.zadd(keys.hosts(), Date.now(), 'a');
    expect(await reconcile()).toMatchObject({ closed: 1 });
    expect(await desktopRecord(start)).toMatchObject({ state: 'stopped', endReason: 'idle' });
    const events = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.stopped');
    expect(events.at(-1)?.data).toMatchObject({ reason: 'idle' });
  });
});

test('two reconcilers at once add no run twice and record no change twice', async () => {
  const starts = await Promise.all(Array.from({ length: 40 }, () => fleet.startDesktop()));
  const ended = starts.slice(0, 10);
  for (const start of ended) await records.jobs.end(start.data, { state: 'cancelled' });
  await drained();
  await redis.flushall();
  await Promise.all([reconcile(), reconcile(), reconcile()]);
  const open = starts.slice(10).map(({ jobId }) => jobId);
  expect((await waiting()).sort()).toEqual(open.sort());
  expect(await reconcile()).toEqual(NOTHING);
  const rows = await fleet.postgres
    .sql`select state, count(*)::int from job_changes group by state order by 1`;
  expect(rows.map(({ state, count }) => [state, count])).toEqual([
    ['cancelled', 10],
    ['queued', 40],
  ]);
});

test('all rows are reconciled when they exceed one page', async () => {
  await fleet.startDesktop();
  await redis.flushall();
  await fleet.postgres
    .sql`insert into jobs select 'j' || n, user_id, kind, state, run, fence, attempts_made, queue, 'c' || n,
      request_id, result, error, created_at, started_at, finished_at from jobs, generate_series(1, 450) n`;
  expect(await reconcile()).toMatchObject({ reenqueued: 451 });
  expect(new Set(await waiting()).size).toBe(451);
});

test('a full pass records all of Redis in a ledger that was restored from an old backup', async () => {
  const start = await placed();
  await records.containers.change(start, { ...RUNNING, fence: start.fence });
  const ended = await fleet.startDesktop({}, `user:${newId()}`);
  await records.jobs.end(ended.data, { state: 'completed', result: { a: 1 } });
  await drained();
  await fleet.postgres.sql`truncate jobs, job_changes, containers, container_changes, usage_days`;
  await fleet.queue('containers').obliterate({ force: true });
  expect(await reconcile()).toEqual(NOTHING);
  const full = await reconciler().reconcile({ full: true });
  expect(full).toEqual({ ...NOTHING, recorded: 3, closed: 1, reenqueued: 1 });
  for (const each of [start, ended]) {
    expect(await rowOf(each)).toEqual(jobRow(each.userId, await jobRecord(each)));
    expect(await desktopRowOf(each)).toEqual(containerRow(each.userId, await desktopRecord(each)));
  }
  expect(await reconciler().reconcile({ full: true })).toEqual(NOTHING);
});

test('a full pass records idempotency keys with their remaining time', async () => {
  const keyHash = 'ab'.repeat(32);
  const value = JSON.stringify({ hash: 'request', jobId: 'j1', containerId: 'c1' });
  await redis.set(keys.idempotency('ada', keyHash), value, 'PX', ENDED_RECORD_TTL_MS - 3_600_000);
  expect(await reconciler().reconcile({ full: true })).toEqual({ ...NOTHING, recorded: 1 });
  expect(await reconciler().reconcile({ full: true })).toEqual(NOTHING);
  const [row] = await fleet.postgres.sql`select * from idempotency_keys`;
  expect(row).toMatchObject({
    user_id: 'ada',
    key_hash: keyHash,
    request_hash: 'request',
    job_id: 'j1',
    container_id: 'c1',
  });
  const createdAt = row?.created_at as Date | undefined;
  expect(Math.round((Date.now() - (createdAt?.getTime() ?? 0)) / 60_000)).toBe(60);
});

describe('limits of users', () => {
  const LIMITS = { rateLimits: { user: ['5/s'] }, desktops: 3 };
  const set = (userId: string, limits: UserLimits = LIMITS) =>
    fleet.ledger.run((db) => writeUserLimits(db, { userId, limits, by: 'root' }));
  const held = (userId: string) => redis.hgetall(keys.userLimits(userId));

  test('that Redis has lost, or has an earlier version of, are restored, once', async () => {
    await set('ada');
    await set('bob');
    expect(await reconciler().reconcile()).toEqual({ ...NOTHING, restored: 2 });
    const { at } = await set('ada', { jobs: 1 });
    expect(await reconciler().reconcile()).toEqual({ ...NOTHING, restored: 1 });
    expect(await held('ada')).toEqual({
      at: `${at}`,
      by: 'root',
      limits: '{"jobs":1}',
      effective: '{"tiers":{},"quotas":{"jobs":1}}',
    });
    expect(JSON.parse((await held('bob')).effective ?? '')).toEqual({
      tiers: { user: [[5, 1_000_000, '5/s']] },
      quotas: { desktops: 3 },
    });
    expect(await reconciler().reconcile()).toEqual(NOTHING);
    await redis.flushall();
    expect(await reconciler().reconcile()).toEqual({ ...NOTHING, restored: 2 });
  });

  test('that were removed are removed in Redis, and not recorded in one that has none', async () => {
    await set('ada');
    await reconciler().reconcile();
    await set('ada', {});
    expect(await reconciler().reconcile()).toEqual({ ...NOTHING, restored: 1 });
    expect(await held('ada')).toMatchObject({ effective: '{"tiers":{},"quotas":{}}' });
    expect(await redis.pttl(keys.userLimits('ada'))).toBeGreaterThan(0);
    await redis.flushall();
    expect(await reconciler().reconcile()).toEqual(NOTHING);
    const before = new Date(Date.now() + 60_000);
    await set('bob');
    expect(await fleet.ledger.run((db) => pruneUserLimits(db, before, 10))).toBe(1);
    expect(await fleet.ledger.run((db) => listUserLimits(db, '', 10))).toMatchObject([{ userId: 'bob' }]);
  });

  test('of which Redis has a later version stay, and one that can not be read hides no other', async () => {
    const skipped: unknown[] = [];
    await set('ada');
    await set('bob', { jobs: 1 });
    await redis.hset(keys.userLimits('bob'), 'at', Date.now() + 60_000, 'limits', '{"jobs":2}');
    await fleet.postgres.sql`insert into user_limits values ('a', '{"later": 1}', now(), 'root')`;
    await redis.set(keys.userLimits('c'), 'text');
    await set('c');
    const counts = await reconciler({ skip: (_error, item) => skipped.push(item) }).reconcile();
    expect(counts).toEqual({ ...NOTHING, restored: 1 });
    expect((await held('bob')).limits).toBe('{"jobs":2}');
    expect(skipped).toMatchObject([{ userId: 'a' }, { key: keys.userLimits('c') }]);
  });

  test('have a time that rises with each change', async () => {
    const changes = await Promise.all(Array.from({ length: 8 }, () => set('ada')));
    expect(new Set(changes.map(({ at }) => at)).size).toBe(8);
  });
});
