import { keys } from '@warmwind/shared/keys';
import { JOB_OPTIONS } from '@warmwind/shared/queues';
import { Worker } from 'bullmq';
import { each } from '../../workers/each.ts';
import { createLine, type Line } from '../../workers/testing/line.ts';
import { waitFor } from '../testing/wait.ts';
import { type Figure, median } from './report.ts';

/** Where the bare worker's jobs are. */
const BARE = 'bare';
const OURS = 'ai-inference';
const CONCURRENCY = 50;
const IN_FLIGHT = 64;

export type ThroughputOptions = { rounds: number; jobs: number };

/** No-op jobs by our runtime and by a bare BullMQ worker with the same settings, in turn. */
export async function measureThroughput({ rounds, jobs }: ThroughputOptions): Promise<Figure[]> {
  const line = await createLine();
  const rates: { ours: number[]; bare: number[] } = { ours: [], bare: [] };
  for (let round = 0; round <= rounds; round++) {
    const bare = await runBare(line, jobs);
    const ours = await runOurs(line, jobs);
    // The first round warms up.
    if (round === 0) continue;
    rates.bare.push(bare);
    rates.ours.push(ours);
  }
  await line.stop();
  return [
    { name: 'no-op jobs, our runtime', value: median(rates.ours), unit: '/s' },
    { name: 'no-op jobs, bare BullMQ', value: median(rates.bare), unit: '/s' },
    {
      name: 'our runtime / bare BullMQ',
      value: median(rates.ours.map((rate, i) => rate / (rates.bare[i] ?? Number.NaN))),
      unit: '×',
      target: { atLeast: 0.9 },
    },
  ];
}

async function runOurs(line: Line, jobs: number): Promise<number> {
  await each(Array.from({ length: jobs }), IN_FLIGHT, async () => {
    await line.infer();
  });
  let left = jobs;
  const begun = performance.now();
  const worker = line.work(
    async () => {
      left -= 1;
      return null;
    },
    { queue: OURS, concurrency: CONCURRENCY },
  );
  return rateOf(line, OURS, jobs, begun, () => left === 0, worker);
}

async function runBare(line: Line, jobs: number): Promise<number> {
  const queue = line.queue(BARE);
  await each(Array.from({ length: jobs }), IN_FLIGHT, async () => {
    await queue.add('inference', {}, { ...JOB_OPTIONS, priority: 5 });
  });
  let left = jobs;
  const begun = performance.now();
  const options = { connection: line.redis, prefix: keys.bull(BARE), concurrency: CONCURRENCY };
  const worker = new Worker(
    BARE,
    async () => {
      left -= 1;
      return null;
    },
    options,
  );
  return rateOf(line, BARE, jobs, begun, () => left === 0, worker);
}

/** Jobs a second until none is left in the queue. */
async function rateOf(
  line: Line,
  queue: string,
  jobs: number,
  begun: number,
  begunAll: () => boolean,
  worker: { close: () => Promise<unknown> },
): Promise<number> {
  await waitFor('the jobs to begin', begunAll, 120_000);
  await waitFor('the jobs to end', async () => (await line.queue(queue).getActiveCount()) === 0);
  const rate = (jobs / (performance.now() - begun)) * 1000;
  await worker.close();
  return rate;
}
