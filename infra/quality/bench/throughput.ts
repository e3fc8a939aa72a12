import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '@warmwind/shared/engine/keys';
import { type JobData, runOptions } from '@warmwind/shared/engine/queues';
import { type Job, Worker } from 'bullmq';
import { each } from '../../../workers/each.ts';
import { createLine, type Line } from '../../../workers/testing/line.ts';
import { waitFor } from '../testing/wait.ts';
import { type Figure, median } from './report.ts';

const CONCURRENCY = 50;
const IN_FLIGHT = 64;

/** Duration of a job that is no no-op, ms. */
const SOME_MS = 25;

export type ThroughputOptions = { rounds: number; jobs: number };

/** A worker of jobs that all wait in a queue. */
type Contender = {
  name: string;
  queue: string;
  submit: (line: Line) => Promise<unknown>;
  /** @param job called for each job */
  work: (line: Line, job: () => Promise<unknown>) => { close: () => Promise<unknown> };
};

const bareWorker = (line: Line, queue: string, processor: (job: Job<JobData>) => Promise<unknown>) =>
  new Worker(queue, processor, {
    connection: line.redis,
    prefix: keys.bullmqPrefix(queue),
    concurrency: CONCURRENCY,
  });

const OURS: Contender = {
  name: 'our runtime',
  queue: 'ai-inference',
  submit: (line) => line.infer(),
  work: (line, job) => line.work(job, { queue: 'ai-inference', concurrency: CONCURRENCY }),
};

/** A bare worker with the same writes to records and rooms as our runtime. */
const RECORDING: Contender = {
  name: 'bare BullMQ that records',
  queue: 'ai-inference',
  submit: OURS.submit,
  work: (line, job) =>
    bareWorker(line, 'ai-inference', async ({ data }) => {
      const claim = await line.records.jobs.claim(data, 0);
      await job();
      if (claim.verdict === 'ok') await line.records.jobs.end(data, { state: 'completed' }, claim.fence, 1);
    }),
};

const BARE: Contender = {
  name: 'bare BullMQ',
  queue: 'bare',
  submit: (line) => {
    const jobId = crypto.randomUUID();
    const data = { kind: 'inference', userId: `u-${jobId}`, jobId, run: 1, requestId: `r-${jobId}` };
    return line.queue('bare').add('inference', data, runOptions({ jobId, run: 1, priority: 5 }));
  },
  work: (line, job) => bareWorker(line, 'bare', job),
};

/** Measures our runtime, a bare BullMQ worker, and one that keeps the same records, in turn. */
export async function measureThroughput({ rounds, jobs }: ThroughputOptions): Promise<Figure[]> {
  const line = await createLine();
  const noOp = await compare(line, [OURS, RECORDING, BARE], rounds, jobs, async () => null);
  const some = await compare(line, [OURS, BARE], rounds, jobs / 3, () => sleep(SOME_MS));
  await line.stop();
  const ratio = (rates: Rates, other: Contender) =>
    median((rates.get(OURS) ?? []).map((rate, i) => rate / (rates.get(other)?.[i] ?? Number.NaN)));
  const target = { atLeast: 0.9 };
  return [
    ...[...noOp].map(([{ name }, seen]) => ({
      name: `no-op jobs, ${name}`,
      value: median(seen),
      unit: '/s',
    })),
    { name: 'no-op jobs, our runtime / bare BullMQ', value: ratio(noOp, BARE), unit: '×', target },
    {
      name: 'no-op jobs, our runtime / bare BullMQ that records',
      value: ratio(noOp, RECORDING),
      unit: '×',
      target,
    },
    { name: `jobs of ${SOME_MS} ms, our runtime / bare BullMQ`, value: ratio(some, BARE), unit: '×', target },
  ];
}

/** Jobs a second of each round. */
type Rates = Map<Contender, number[]>;

async function compare(
  line: Line,
  contenders: Contender[],
  rounds: number,
  jobs: number,
  job: () => Promise<unknown>,
): Promise<Rates> {
  const rates: Rates = new Map(contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [contender, seen] of rates) {
      const rate = await measure(line, contender, Math.round(jobs), job);
      // The first round warms up.
      if (round > 0) seen.push(rate);
    }
  }
  return rates;
}

/** Measures jobs a second until none is left in the queue. */
async function measure(
  line: Line,
  { queue, submit, work }: Contender,
  jobs: number,
  job: () => Promise<unknown>,
): Promise<number> {
  await each(Array.from({ length: jobs }), IN_FLIGHT, async () => {
    await submit(line);
  });
  let left = jobs;
  const from = performance.now();
  const worker = work(line, async () => {
    left -= 1;
    return job();
  });
  await waitFor('the jobs to begin', () => left === 0, 120_000);
  await waitFor('the jobs to end', async () => (await line.queue(queue).getActiveCount()) === 0);
  const rate = (jobs / (performance.now() - from)) * 1000;
  await worker.close();
  return rate;
}
