import { createLog } from '@warmwind/shared/node/log';
import { Publisher } from '@warmwind/shared/node/publisher';
import { Records } from '@warmwind/shared/node/records';
import { connectPatient, disconnect } from '@warmwind/shared/node/redis';
import type { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/testing/docker.ts';
import { waitFor } from '../../infra/testing/wait.ts';
import { createMetrics } from '../metrics.ts';
import { createFleet, type Fleet, reached, told, types } from '../testing/fleet.ts';
import { JobFailure } from './errors.ts';
import { Cancelled } from './outcome.ts';
import type { Handler } from './runtime.ts';
import { JobWorker, type JobWorkerOptions } from './worker.ts';

const log = createLog('test');
log.level = 'silent';

let fleet: Fleet;
let queueRedis: Redis;
let realtimeRedis: Redis;
let records: Records;
let dropped = 0;
const workers: JobWorker[] = [];

beforeEach(async () => {
  fleet = await createFleet();
  queueRedis = connectPatient(fleet.queueRedis.url, 'test', log);
  realtimeRedis = connectPatient(fleet.realtime.url, 'test', log);
  dropped = 0;
  const publisher = new Publisher(realtimeRedis, log, (events) => (dropped += events), 200);
  records = new Records(queueRedis, publisher);
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close()));
  await disconnect(queueRedis);
  await disconnect(realtimeRedis);
  await fleet.stop();
});

/** A worker of the shared queue whose jobs do what the test says. */
const work = (handler: Handler, more: Partial<JobWorkerOptions> = {}): JobWorker => {
  const deps = {
    redis: queueRedis,
    records,
    ledger: undefined,
    metrics: createMetrics(new Registry(), async () => {}),
    log,
    queue: fleet.queue,
  };
  const options = { queue: 'containers', concurrency: 4, handsBack: true, ...more };
  const worker = new JobWorker(deps, options, {
    'container.start': handler,
    'container.stop': handler,
    inference: handler,
  });
  workers.push(worker);
  worker.run();
  return worker;
};

/** Ends only when it is told to. */
const untilAborted: Handler = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));

test('a failure that may pass is tried again, one that will not fails at once; each is told', async () => {
  let attempts = 0;
  work(async () => {
    attempts += 1;
    if (attempts === 1) throw new JobFailure('engine_unavailable');
    throw new JobFailure('image_missing');
  });
  const job = await fleet.startDesktop();
  expect(await reached(fleet, job, 'delayed')).toMatchObject({ attemptsMade: 1 });
  expect(await reached(fleet, job, 'failed')).toMatchObject({
    attemptsMade: 2,
    error: { code: 'image_missing', retryable: false },
  });
  const events = await told(fleet, job, `job:${job.jobId}`, 'job.failed');
  expect(types(events)).toEqual(['job.queued', 'job.active', 'job.retrying', 'job.active', 'job.failed']);
});

test('an attempt that takes too long is stopped, and the last one ends the job timed_out', async () => {
  work(untilAborted, { attemptTimeoutMs: 100 });
  const job = await fleet.startDesktop();
  await reached(fleet, job, 'delayed');
  const bull = await fleet.queue('containers').getJob(job.jobId);
  await waitFor('the second attempt', async () => {
    await bull?.promote().catch(() => undefined);
    return (await fleet.job(job))?.attemptsMade === 2;
  });
  await waitFor('the end', async () => {
    await bull?.promote().catch(() => undefined);
    return (await fleet.job(job))?.state === 'timed_out';
  });
  expect(await fleet.job(job)).toMatchObject({ attemptsMade: 3, error: { code: 'timed_out' } });
});

test('a cancelled run ends cancelled and is not tried again', async () => {
  work(async () => {
    throw new Cancelled();
  });
  const job = await fleet.startDesktop();
  await reached(fleet, job, 'cancelled');
  await told(fleet, job, `job:${job.jobId}`, 'job.cancelled');
});

test('a job that is handed back at shutdown runs at a peer at once and has spent no attempt', async () => {
  const first = work(untilAborted);
  const job = await fleet.startDesktop();
  await reached(fleet, job, 'active');
  work(async () => ({ by: 'peer' }));
  await first.close();
  expect(await reached(fleet, job, 'completed')).toMatchObject({ attemptsMade: 1, result: { by: 'peer' } });
});

test('a worker that lost its lock is told so, and the run ends once, by its successor', async () => {
  let lost = 0;
  let first = true;
  work(async (context) => {
    if (!first) return { by: 'successor' };
    first = false;
    return untilAborted(context).catch((error: unknown) => {
      lost += 1;
      throw error;
    });
  });
  const job = await fleet.startDesktop();
  await reached(fleet, job, 'active');
  await fleet.queueRedis.client.del(`ww:{containers}:containers:${job.jobId}:lock`);
  expect(await reached(fleet, job, 'completed', 25_000)).toMatchObject({ result: { by: 'successor' } });
  expect(lost).toBe(1);
  const events = await told(fleet, job, `job:${job.jobId}`, 'job.completed');
  expect(types(events).filter((type) => type === 'job.completed')).toHaveLength(1);
}, 40_000);

test('a run that has ended is not run again, and its end is told even if nobody did', async () => {
  const job = await fleet.startDesktop();
  const ref = { ...job.data };
  await records.endJob(ref, { state: 'cancelled' });
  await fleet.realtime.client.flushall();
  let ran = false;
  work(async () => {
    ran = true;
  });
  await told(fleet, job, `job:${job.jobId}`, 'job.cancelled');
  await waitFor('the delivery to end', async () => (await fleet.queue('containers').getActiveCount()) === 0);
  expect(ran).toBe(false);
  expect(await fleet.job(job)).toMatchObject({ state: 'cancelled' });
});

test('a job of a later version is handed back, a malformed one fails', async () => {
  let ran = 0;
  work(async () => {
    ran += 1;
  });
  const queue = fleet.queue('containers');
  const newer = await queue.add('container.start', { version: 99 }, { attempts: 3 });
  const broken = await queue.add('container.start', { version: 1, jobId: '../..' }, { attempts: 3 });
  await waitFor('both to be judged', async () => (await newer.getState()) === 'delayed' && broken.isFailed());
  expect(ran).toBe(0);
  expect((await queue.getJob(newer.id ?? ''))?.attemptsMade).toBe(0);
});

test('a realtime Redis that is away fails no job, and all of it is told when it is back', async () => {
  work(async ({ progress }) => {
    for (let percent = 1; percent <= 20; percent++) await progress(percent);
    return { done: true };
  });
  await fleet.realtime.kill();
  const job = await fleet.startDesktop();
  await reached(fleet, job, 'completed');
  await fleet.realtime.restart();
  const events = await told(fleet, job, `job:${job.jobId}`, 'job.completed');
  const progress = Array.from({ length: 20 }, () => 'job.progress');
  expect(types(events)).toEqual(['job.queued', 'job.active', ...progress, 'job.completed']);
  expect(dropped).toBe(0);
});
