import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@warmwind/shared/contract/ids';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { isTerminalEvent, type StoredEvent } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { CancellationFollowUp } from '../cancellation/follow-up.ts';
import { CancellationSubscriber } from '../cancellation/subscriber.ts';
import { Leader } from '../leader/leader.ts';
import { Observer } from '../leader/observer.ts';
import { createLine, type Line } from '../testing/line.ts';
import type { Submitted } from '../testing/submissions.ts';
import type { Handler } from './delivery.ts';
import { JobFailureError } from './failures.ts';
import type { JobWorker } from './worker.ts';

const QUEUE = 'ai-inference';
/** `FC_SEED` repeats a failed run, `FC_RUNS` sets its length. */
const SEED = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env.FC_RUNS ?? 14);

/** The behaviour of a job's handler, and the events that happen to the job `atMs` after its submission. */
const Plan = fc.record({
  does: fc.constantFrom('completes', 'fails', 'fails once', 'hangs'),
  worksMs: fc.integer({ min: 0, max: 120 }),
  /** Continues to report progress after an abort. */
  ignoresAbort: fc.boolean(),
  happens: fc.array(
    fc.record({
      atMs: fc.integer({ min: 0, max: 250 }),
      what: fc.constantFrom('cancelled', 'cancelled unpublished', 'retried', 'unlocked', 'requeued'),
    }),
    { maxLength: 5 },
  ),
});
type Plan = typeof Plan extends fc.Arbitrary<infer T> ? T : never;

let line: Line;
const plans = new Map<string, Plan>();
const workers: JobWorker[] = [];
const closing: (() => unknown)[] = [];

/** Reports progress every few ms and then ends as its plan says. */
const handler: Handler = async ({ data, signal, progress }) => {
  const plan = plans.get(data.jobId);
  if (!plan) throw new Error('no plan');
  const until = Date.now() + (plan.does === 'hangs' ? 10_000 : plan.worksMs);
  let stopAt = Number.POSITIVE_INFINITY;
  for (let percent = 1; Date.now() < until; percent++) {
    if (signal.aborted) stopAt = Math.min(stopAt, Date.now() + (plan.ignoresAbort ? 60 : 0));
    if (Date.now() >= stopAt) throw new Error('aborted');
    await progress(percent % 100);
    await sleep(4);
  }
  if (plan.does === 'fails' || (plan.does === 'fails once' && data.run === 1)) {
    throw new JobFailureError(plan.ignoresAbort ? 'internal' : 'model_missing');
  }
  return { run: data.run };
};
const hire = (): JobWorker => {
  const worker = line.work(handler, {
    queue: QUEUE,
    concurrency: 8,
    attemptTimeoutMs: 150,
    lockMs: 500,
    stalledEveryMs: 250,
  });
  workers.push(worker);
  return worker;
};

beforeAll(async () => {
  line = await createLine();
  const { redis, records, metrics, queue, log } = line;
  const failFast = connectFailFast(line.queueRedis.url, 'test', log);
  const followUp = new CancellationFollowUp({ redis, records, queue, log, endContainer: async () => {} });
  const observer = new Observer({ redis, records, metrics, log });
  const leader = new Leader({
    redis: failFast,
    key: keys.observerLease(),
    holder: newId(),
    ttlMs: 2000,
    log,
    tasks: [
      { name: 'queue events', everyMs: 1000, run: (signal) => observer.watch(signal) },
      { name: 'cancellations', everyMs: 1000, run: () => followUp.followAll() },
    ],
  });
  const cancellations = new CancellationSubscriber(redis, log, (cancelled) => {
    for (const worker of workers) worker.cancel(cancelled);
    if (leader.leads) void followUp.follow(cancelled);
  });
  cancellations.start();
  await waitFor('the connection', () => failFast.status === 'ready');
  leader.start();
  hire();
  hire();
  closing.push(async () => {
    await Promise.all([leader.close(), cancellations.close()]);
    await disconnect(failFast);
  });
});
afterAll(async () => {
  for (const close of closing) await close();
  await line?.stop();
});

async function happen(job: Submitted, what: Plan['happens'][number]['what']): Promise<void> {
  if (what === 'cancelled') await line.cancel(job);
  if (what === 'cancelled unpublished') await line.cancel(job, { unheard: true });
  // Refused until it has ended.
  if (what === 'retried') await line.retry(job, 'inference').catch(() => undefined);
  if (what === 'unlocked') {
    const { run = 1 } = (await line.job(job)) ?? {};
    const id = run === 1 ? job.jobId : `${job.jobId}.${run}`;
    await line.redis.del(`ww:{${QUEUE}}:${QUEUE}:${id}:lock`);
  }
  if (what === 'requeued') {
    hire();
    await workers.shift()?.close();
  }
}

/** Waits until the job is out of its queue and the log has an end for its latest run. */
async function settled(job: Submitted): Promise<StoredEvent[]> {
  return waitFor('the job to have ended', async () => {
    const queue = line.queue(QUEUE);
    for (const waiting of await queue.getDelayed()) await waiting.promote().catch(() => undefined);
    const record = await line.job(job);
    if (!record || !isTerminal(record.state)) return undefined;
    const events = await line.events(job.userId, `job:${job.jobId}`);
    const ended = events.filter(({ type, run }) => isTerminalEvent(type) && run === record.run);
    const { active = 0, waiting = 0, prioritized = 0 } = await queue.getJobCounts();
    return ended.length > 0 && active + waiting + prioritized === 0 ? events : undefined;
  });
}

/** Checks that each run ended once, as its record says, and published nothing after its end. */
async function checkEnd(job: Submitted, events: StoredEvent[]): Promise<void> {
  const record = await line.job(job);
  for (let run = 1; run <= (record?.run ?? 0); run++) {
    const own = events.filter((event) => event.run === run);
    const ends = own.filter(({ type }) => isTerminalEvent(type));
    expect(ends, `ends of run ${run}`).toHaveLength(1);
    if (run === record?.run) expect(ends[0]?.type).toBe(`job.${record.state}`);
    else expect(ends[0]?.type).not.toBe('job.completed');
    expect(own.at(-1), `the last of run ${run}`).toEqual(ends[0]);
  }
  const runs = events.map(({ run = 0 }) => run);
  expect(runs).toEqual(runs.toSorted((a, b) => a - b));
}

test('each run of a job ends once, in record and log alike, and publishes nothing later, under any concurrent events', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(Plan, { minLength: 4, maxLength: 10 }), async (all) => {
      const jobs = await Promise.all(
        all.map(async (plan) => {
          const job = await line.infer();
          plans.set(job.jobId, plan);
          await Promise.all(plan.happens.map(({ atMs, what }) => sleep(atMs).then(() => happen(job, what))));
          return job;
        }),
      );
      for (const job of jobs) {
        await settled(job);
        await sleep(100);
        await checkEnd(job, await settled(job));
      }
    }),
    { seed: SEED, numRuns: RUNS, endOnFailure: true },
  );
}, 120_000);
