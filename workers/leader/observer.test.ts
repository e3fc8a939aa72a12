import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { UnrecoverableError, Worker } from 'bullmq';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { createMetrics } from '../metrics.ts';
import { failedReason, failure } from '../runtime/failures.ts';
import { createFleet, type Fleet, reached, types, waitForEvents } from '../testing/fleet.ts';
import { Leader } from './leader.ts';
import { Observer } from './observer.ts';

const log = createLog('test');
log.level = 'silent';
let fleet: Fleet;
const closing: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await fleet.stop();
});

const observe = (): Leader => {
  const redis = connectQueueing(fleet.queueRedis.url, 'test', log);
  const failFast = connectFailFast(fleet.queueRedis.url, 'test', log);
  const realtime = connectQueueing(fleet.realtime.url, 'test', log);
  const records = new Records(redis, new Publisher(realtime, log));
  const metrics = createMetrics(new Registry(), async () => {});
  const observer = new Observer({ redis, records, metrics, log });
  const leader = new Leader({
    redis: failFast,
    key: keys.observerLease(),
    holder: newId(),
    ttlMs: 1500,
    log,
    tasks: [{ name: 'queue events', everyMs: 1000, run: (signal) => observer.watch(signal) }],
  });
  closing.push(async () => {
    await leader.close();
    await Promise.all([redis, failFast, realtime].map((connection) => disconnect(connection)));
  });
  leader.start();
  return leader;
};

test('a job that no worker takes is published as queued, and its desktop as requested', async () => {
  observe();
  const job = await fleet.startDesktop();
  await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.queued');
  await waitForEvents(fleet, job, `container:${job.containerId}`, 'container.requested');
});

test('a successor continues where its predecessor stopped and publishes no job twice', async () => {
  const first = observe();
  const before = await fleet.startDesktop({}, 'u1');
  await waitForEvents(fleet, before, `job:${before.jobId}`, 'job.queued');
  await first.close();
  const between = await fleet.startDesktop({}, 'u1');
  observe();
  observe();
  await waitForEvents(fleet, between, `job:${between.jobId}`, 'job.queued');
  const after = await fleet.startDesktop({}, 'u1');
  await waitForEvents(fleet, after, `job:${after.jobId}`, 'job.queued');
  const all = types(await fleet.events('u1', 'user:u1'));
  expect(all.filter((type) => type === 'job.queued')).toHaveLength(3);
});

test('the observer continues after a restart of Redis, and follows the queue of a new host', async () => {
  observe();
  const job = await fleet.startDesktop();
  await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.queued');
  await fleet.queueRedis.kill();
  await fleet.queueRedis.restart();
  const next = await fleet.startDesktop();
  await waitForEvents(fleet, next, `job:${next.jobId}`, 'job.queued');
  await fleet.queueRedis.client.zadd(keys.hosts(), Date.now(), 'h');
  await fleet.queueRedis.client.hset(keys.container(next.userId, next.containerId), 'host', 'h');
  const stop = await fleet.stopDesktop(next);
  expect(stop.queue).toBe('containers-h');
  await waitForEvents(fleet, stop, `job:${stop.jobId}`, 'job.queued');
});

/** Fails the jobs in BullMQ without an end in their records. */
const failWithoutRecord = (reason: string) => {
  const connection = connectQueueing(fleet.queueRedis.url, 'test', log);
  const worker = new Worker(
    'containers',
    async () => {
      throw new UnrecoverableError(reason);
    },
    { connection, prefix: keys.bullmqPrefix('containers') },
  );
  closing.push(async () => {
    await worker.close();
    await disconnect(connection);
  });
};

test.each([
  ['image_missing', 'failed'],
  ['timed_out', 'timed_out'],
] as const)(
  'a run whose record lost its end to a killed Redis ends for its own reason: %s',
  async (code, state) => {
    observe();
    const job = await fleet.startDesktop();
    failWithoutRecord(failedReason(failure(code)));
    expect(await reached(fleet, job, state)).toMatchObject({ error: { code } });
  },
);

test('a run whose workers all died ends failed, once, and its desktop with it', async () => {
  observe();
  const job = await fleet.startDesktop();
  failWithoutRecord('job stalled more than allowable limit');
  expect(await reached(fleet, job, 'failed')).toMatchObject({
    error: { code: 'worker_lost', retryable: true },
  });
  const events = await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.failed');
  expect(types(events)).toEqual(['job.queued', 'job.failed']);
  await waitForEvents(fleet, job, `container:${job.containerId}`, 'container.failed');
  expect(await fleet.container(job)).toMatchObject({ state: 'failed' });
});
