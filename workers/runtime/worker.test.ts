import { setTimeout as sleep } from 'node:timers/promises';
import { CANCELLED_CHANNEL } from '@warmwind/shared/engine/keys';
import type { JobData } from '@warmwind/shared/engine/queues';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { CancellationSubscriber } from '../cancellation/subscriber.ts';
import { reached, types, waitForEvents } from '../testing/fleet.ts';
import { createLine, type Line } from '../testing/line.ts';
import type { Handler } from './delivery.ts';
import { JobFailureError } from './failures.ts';
import { CancelledError } from './outcome.ts';

let line: Line;
beforeEach(async () => {
  line = await createLine();
});
afterEach(() => line.stop());

/** Lost jobs are found sooner. */
const QUICK = { lockMs: 1000, stalledEveryMs: 500 };
/** A handler that completes at once. */
const done: Handler = async () => ({ done: true });

/** A handler that runs until it is aborted. */
const untilAborted: Handler = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));

test('a retryable failure is retried, a permanent one fails at once, and both are published', async () => {
  let attempts = 0;
  line.work(async () => {
    attempts += 1;
    if (attempts === 1) throw new JobFailureError('engine_unavailable');
    throw new JobFailureError('image_missing');
  });
  const job = await line.startDesktop();
  expect(await reached(line, job, 'delayed')).toMatchObject({ attemptsMade: 1 });
  expect(await reached(line, job, 'failed')).toMatchObject({
    attemptsMade: 2,
    error: { code: 'image_missing', retryable: false },
  });
  const events = await waitForEvents(line, job, `job:${job.jobId}`, 'job.failed');
  expect(types(events)).toEqual(['job.queued', 'job.active', 'job.retrying', 'job.active', 'job.failed']);
  const kept = await waitFor('BullMQ to keep the failure', async () => {
    const queued = await line.queue('containers').getJob(job.jobId);
    return (await queued?.isFailed()) ? queued?.failedReason : undefined;
  });
  expect(kept).toMatch(/^image_missing: /);
});

test('an attempt that exceeds its time-out is stopped, and the last one ends the job timed_out', async () => {
  line.work(untilAborted, { attemptTimeoutMs: 100 });
  const job = await line.startDesktop();
  await reached(line, job, 'delayed');
  const queued = await line.queue('containers').getJob(job.jobId);
  await waitFor('the second attempt', async () => {
    await queued?.promote().catch(() => undefined);
    return (await line.job(job))?.attemptsMade === 2;
  });
  await waitFor('the end', async () => {
    await queued?.promote().catch(() => undefined);
    return (await line.job(job))?.state === 'timed_out';
  });
  expect(await line.job(job)).toMatchObject({ attemptsMade: 3, error: { code: 'timed_out' } });
});

test("a job's own time-out overrides its queue's", async () => {
  line.work(untilAborted, { queue: 'ai-inference', attemptTimeoutMs: 60_000 });
  const job = await line.infer('u', { timeoutMs: 50 });
  await reached(line, job, 'delayed');
});

test('no time-out of a job exceeds the maximum of its queue', async () => {
  line.work(untilAborted, { queue: 'ai-inference', maxAttemptTimeoutMs: 50 });
  await reached(line, await line.infer('u', { timeoutMs: 3_600_000 }), 'delayed');
});

test('a cancelled run ends cancelled and is not retried', async () => {
  let attempts = 0;
  line.work(async () => {
    attempts += 1;
    throw new CancelledError();
  });
  const job = await line.startDesktop();
  await reached(line, job, 'cancelled');
  await waitForEvents(line, job, `job:${job.jobId}`, 'job.cancelled');
  const queue = line.queue('containers');
  await waitFor('the delivery to end', async () => (await queue.getJobState(job.jobId)) === 'completed');
  expect(await queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active')).toEqual({
    waiting: 0,
    prioritized: 0,
    delayed: 0,
    active: 0,
  });
  expect(attempts).toBe(1);
});

test('a run that is cancelled while active is aborted, and ends once', async () => {
  const worker = line.work(untilAborted);
  const cancellations = new CancellationSubscriber(line.redis, line.log, (cancelled) =>
    worker.cancel(cancelled),
  );
  cancellations.start();
  const job = await line.startDesktop();
  await reached(line, job, 'active');
  await waitFor('the subscription', async () => {
    const [, subscribers] = (await line.redis.pubsub('NUMSUB', CANCELLED_CHANNEL)) as [string, number];
    return subscribers > 0;
  });
  await line.cancel(job);
  await waitFor('the delivery to end', async () => (await line.queue('containers').getActiveCount()) === 0);
  const events = await waitForEvents(line, job, `job:${job.jobId}`, 'job.cancelled');
  expect(types(events)).toEqual(['job.queued', 'job.active', 'job.cancelled']);
  expect(await line.registry.getSingleMetricAsString('warmwind_jobs_total')).toContain(
    'outcome="cancelled"} 1',
  );
  await cancellations.close();
});

test('a cancelled run whose message is lost is aborted all the same', async () => {
  line.work(untilAborted);
  const job = await line.startDesktop();
  await reached(line, job, 'active');
  await line.cancel(job, { unheard: true });
  await waitFor('the delivery to end', async () => (await line.queue('containers').getActiveCount()) === 0);
  await waitForEvents(line, job, `job:${job.jobId}`, 'job.cancelled');
});

test('a run that another worker claimed is aborted, and its record is left to that worker', async () => {
  line.work(untilAborted);
  const job = await line.startDesktop();
  await reached(line, job, 'active');
  const other = await line.records.jobs.claim(job.data, 0);
  await waitFor('it to be aborted', async () =>
    (await line.registry.getSingleMetricAsString('warmwind_jobs_total')).includes('outcome="lost"} 1'),
  );
  expect(await line.job(job)).toMatchObject({ state: 'active' });
  expect(other).toMatchObject({ verdict: 'ok', fence: 2 });
});

test('a job that is requeued at shutdown runs on a peer and spends no attempt', async () => {
  const first = line.work(untilAborted);
  const job = await line.startDesktop();
  await reached(line, job, 'active');
  line.work(async () => ({ by: 'peer' }));
  await first.close();
  expect(await reached(line, job, 'completed')).toMatchObject({ attemptsMade: 1, result: { by: 'peer' } });
});

test('a worker that loses its lock aborts the run, and its successor ends it once', async () => {
  let lost = 0;
  let first = true;
  line.work(async (context) => {
    if (!first) return { by: 'successor' };
    first = false;
    return untilAborted(context).catch((error: unknown) => {
      lost += 1;
      throw error;
    });
  }, QUICK);
  const job = await line.startDesktop();
  await reached(line, job, 'active');
  await line.queueRedis.client.del(`ww:{containers}:containers:${job.jobId}:lock`);
  expect(await reached(line, job, 'completed')).toMatchObject({ result: { by: 'successor' } });
  expect(lost).toBe(1);
  const events = await waitForEvents(line, job, `job:${job.jobId}`, 'job.completed');
  expect(types(events).filter((type) => type === 'job.completed')).toHaveLength(1);
});

test('a worker whose jobs peers run aborts them, waits for their ends, and takes no more until it runs again', async () => {
  const reasons: unknown[] = [];
  const worker = line.work((context) =>
    untilAborted(context).catch(async (error: unknown) => {
      await line.queueRedis.client.ping();
      reasons.push(context.signal.reason);
      throw error;
    }),
  );
  const jobs = [await line.startDesktop(), await line.startDesktop()];
  for (const job of jobs) await reached(line, job, 'active');
  await worker.drop();
  expect(reasons).toEqual(['lock-lost', 'lock-lost']);
  const next = await line.startDesktop();
  const queue = line.queue('containers');
  // A worker of another process finds it first.
  const other = line.work(async () => ({ by: 'other' }));
  await reached(line, next, 'completed');
  await other.close();
  const last = await line.startDesktop();
  worker.run();
  await reached(line, last, 'active');
  expect((await queue.getActive()).map(({ id }) => id).sort()).toEqual(
    [...jobs, last].map(({ jobId }) => jobId).sort(),
  );
});

test('a run that has ended is not run again, and its unpublished end is published', async () => {
  const job = await line.startDesktop();
  const ref = { ...job.data };
  await line.records.jobs.end(ref, { state: 'cancelled' });
  await line.realtime.client.flushall();
  let ran = false;
  line.work(async () => {
    ran = true;
  });
  await waitForEvents(line, job, `job:${job.jobId}`, 'job.cancelled');
  await waitFor('the delivery to end', async () => (await line.queue('containers').getActiveCount()) === 0);
  expect(ran).toBe(false);
  expect(await line.job(job)).toMatchObject({ state: 'cancelled' });
});

test('a job of a later version is requeued, a malformed one fails', async () => {
  let ran = 0;
  line.work(async () => {
    ran += 1;
  });
  const queue = line.queue('containers');
  const newer = await queue.add('container.start', { version: 99 }, { attempts: 3 });
  const invalid = await queue.add('container.start', { version: 1, jobId: '../..' }, { attempts: 3 });
  await waitFor(
    'both to be settled',
    async () => (await newer.getState()) === 'delayed' && invalid.isFailed(),
  );
  expect(ran).toBe(0);
  expect((await queue.getJob(newer.id ?? ''))?.attemptsMade).toBe(0);
});

test('a job of an unknown kind is requeued while it is open, and leaves its queue once it has ended', async () => {
  line.work(done);
  const job = await line.startDesktop();
  await reached(line, job, 'completed');
  const other = await line.infer();
  const queue = line.queue('containers');
  const add = ({ data }: { data: JobData }, jobId: string) =>
    queue.add('unknown-kind', { ...data, kind: 'unknown-kind' }, { jobId, attempts: 3 });
  const [ended, open] = [await add(job, 'ended'), await add(other, 'open')];
  await waitFor('both', async () => (await ended.isCompleted()) && (await open.isDelayed()));
  expect((await queue.getJob('open'))?.attemptsMade).toBe(0);
  expect(await line.job(job)).toMatchObject({ state: 'completed', result: { done: true } });
  expect(await line.job(other)).toMatchObject({ state: 'queued' });
});

test('an outage of the realtime Redis fails no job, and every event is published after it', async () => {
  line.work(async ({ progress }) => {
    for (let percent = 1; percent <= 20; percent++) await progress(percent);
    return { done: true };
  });
  await line.realtime.kill();
  const job = await line.startDesktop();
  await reached(line, job, 'completed');
  await line.realtime.restart();
  const events = await waitForEvents(line, job, `job:${job.jobId}`, 'job.completed');
  const progress = Array.from({ length: 20 }, () => 'job.progress');
  expect(types(events)).toEqual(['job.queued', 'job.active', ...progress, 'job.completed']);
  expect(line.dropped()).toBe(0);
});

test('the single job of one user starts among the first, behind a thousand jobs of another', async () => {
  const concurrency = 4;
  const many = Array.from({ length: 1000 }, () => line.infer('greedy'));
  await Promise.all(many);
  const order: string[] = [];
  const other = await line.infer('modest');
  line.work(
    async ({ data }) => {
      order.push(data.userId);
      return {};
    },
    { queue: 'ai-inference', concurrency },
  );
  await reached(line, other, 'completed');
  expect(order.indexOf('modest')).toBeLessThanOrEqual(concurrency + 1);
});

test('endless jobs of one user take at most their share of slots: others run, and no attempt is spent', async () => {
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const handler: Handler = async (job) => {
    const { userId } = job.data;
    running.set(userId, (running.get(userId) ?? 0) + 1);
    most.set(userId, Math.max(most.get(userId) ?? 0, running.get(userId) ?? 0));
    return userId === 'greedy' ? untilAborted(job) : {};
  };
  line.work(handler, { queue: 'ai-inference', concurrency: 4 });
  const endless = await Promise.all(Array.from({ length: 20 }, () => line.infer('greedy')));
  await waitFor('their share', () => running.get('greedy') === 2);
  const states = async () => {
    const jobs = await Promise.all(endless.map((job) => line.job(job)));
    return jobs.map((job) => job?.state).sort();
  };
  for (const other of ['ada', 'bob', 'ada']) await reached(line, await line.infer(other), 'completed');
  expect(most.get('greedy')).toBe(2);
  expect(await states()).toEqual([...Array(2).fill('active'), ...Array(18).fill('queued')]);
  for (const job of await Promise.all(endless.map((each) => line.job(each)))) {
    expect(job).toMatchObject({ run: 1, attemptsMade: 0 });
  }
});

test('parked jobs run when a slot is free, each once', async () => {
  const done: string[] = [];
  let running = 0;
  const handler: Handler = async ({ data }) => {
    running += 1;
    expect(running).toBeLessThanOrEqual(2);
    await sleep(20);
    done.push(data.jobId);
    running -= 1;
  };
  line.work(handler, { queue: 'ai-inference', concurrency: 3 });
  const jobs = await Promise.all(Array.from({ length: 30 }, () => line.infer('alone')));
  for (const job of jobs) await reached(line, job, 'completed');
  expect(done.toSorted()).toEqual(jobs.map(({ jobId }) => jobId).toSorted());
});

test('a user takes at most their share of a limiter window, and others get the rest', async () => {
  const begun: string[] = [];
  const handler: Handler = async ({ data }) => {
    begun.push(data.userId);
  };
  for (let i = 0; i < 6; i++) await line.infer('greedy');
  line.work(handler, { queue: 'ai-inference', limiter: { max: 4, duration: 60_000 } });
  await waitFor('their share', () => begun.length === 2);
  await waitFor('the rest to wait', async () => (await line.queue('ai-inference').getDelayedCount()) === 4);
  await reached(line, await line.infer('other'), 'completed');
  expect(begun).toEqual(['greedy', 'greedy', 'other']);
});

test("a user's first job precedes everyone's second; among equals premium jobs go first", async () => {
  const order: string[] = [];
  const name = new Map<string, string>();
  const submit = async (user: string, priorityClass: number, label: string) => {
    const { jobId } = await line.infer(user, { priorityClass });
    name.set(jobId, label);
  };
  await submit('a', 5, 'a1');
  await submit('a', 1, 'a2 premium');
  await submit('a', 5, 'a3');
  await submit('b', 5, 'b1');
  await submit('c', 1, 'c1 premium');
  line.work(
    async ({ data }) => {
      order.push(name.get(data.jobId) ?? '');
    },
    { queue: 'ai-inference', concurrency: 1 },
  );
  await waitFor('all of them', () => order.length === 5);
  expect(order).toEqual(['c1 premium', 'a1', 'b1', 'a2 premium', 'a3']);
});

test('two workers together begin no more jobs than the limit of their fleet', async () => {
  let begun = 0;
  const count: Handler = async () => {
    begun += 1;
  };
  const limiter = { max: 3, duration: 60_000 };
  for (let i = 0; i < 6; i++) await line.infer();
  line.work(count, { queue: 'ai-inference', limiter });
  line.work(count, { queue: 'ai-inference', limiter });
  await waitFor('the first three', () => begun === 3);
  await waitFor('the limit to hold', async () => (await line.queue('ai-inference').getRateLimitTtl(3)) > 0);
  await sleep(500);
  expect(begun).toBe(3);
});

test('a queue worker that takes no jobs although some wait is replaced, but not while its queue is paused', async () => {
  const replaced = async () =>
    (await line.registry.getSingleMetricAsString('warmwind_queue_workers_replaced_total')).includes('} 1');
  const queue = line.queue('containers');
  await queue.pause();
  line.work(done, { silentAfterMs: 1000 });
  const job = await line.startDesktop();
  await sleep(2500);
  expect(await replaced()).toBe(false);
  // BullMQ then delivers no job and reports no error.
  const meta = 'ww:{containers}:containers:meta';
  await line.redis.hset(meta, 'concurrency', '0');
  await queue.resume();
  await waitFor('it to be replaced', replaced);
  await line.redis.hdel(meta, 'concurrency');
  await reached(line, job, 'completed');
});
