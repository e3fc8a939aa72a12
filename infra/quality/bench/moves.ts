import { isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { createLine, type Line } from '../../../workers/testing/line.ts';
import { Peer } from '../../../workers/testing/peer.ts';
import type { Submitted } from '../../../workers/testing/submissions.ts';
import { waitFor } from '../testing/wait.ts';
import { type Figure, median, percentile } from './report.ts';

const QUEUE = 'ai-inference';
/** Delayed jobs in the queue, as in a queue in use. */
const WAITING = 50;

/** Starts a worker process. @param env its settings, see `solo.ts` */
async function startPeer(line: Line, env: Record<string, string> = {}): Promise<Peer> {
  const { LOCK_MS, STALLED_EVERY_MS } = process.env;
  const peer = new Peer(line, {
    ...(LOCK_MS ? { LOCK_MS } : {}),
    ...(STALLED_EVERY_MS ? { STALLED_EVERY_MS } : {}),
    ...env,
    QUEUE,
  });
  await peer.when('ready');
  return peer;
}

export type MoveOptions = {
  signal: 'SIGKILL' | 'SIGTERM';
  rounds: number;
  /** Jobs at a time. */
  jobs: number;
  /** Settings of the processes, see `solo.ts`. */
  env?: Record<string, string>;
};

/**
 * Measures how long jobs take to run at another worker when theirs is ended with `signal`. Each round has
 * jobs of its own, because a job whose workers are killed repeatedly is failed as the cause.
 */
export async function measureMoves(line: Line, { signal, rounds, jobs, env = {} }: MoveOptions) {
  const taken: number[] = [];
  let holder = await startPeer(line, env);
  for (let round = 0; round < rounds; round++) {
    const held: Submitted[] = [];
    for (let i = 0; i < jobs; i++) held.push(await line.infer());
    for (const { jobId } of held) await holder.when('begins', jobId);
    const peer = await startPeer(line, env);
    if (env.DEAD_AFTER_MS) await peer.when('watches');
    // At a random time between two beats, two lock renewals and two checks for stalled jobs.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 2000));
    const at = holder.signal(signal);
    for (const { jobId } of held) taken.push((await peer.when('begins', jobId)) - at);
    await holder.gone();
    holder = peer;
    await endAll(line, holder, held);
  }
  holder.signal('SIGTERM');
  await holder.gone();
  return taken;
}

/** Checks that no moved job has spent an attempt, and cancels the jobs that `holder` runs. */
async function endAll(line: Line, holder: Peer, held: Submitted[]): Promise<void> {
  for (const job of held) {
    if ((await line.job(job))?.attemptsMade !== 0) throw new Error('a moved job has spent an attempt');
    await line.cancel(job);
  }
  for (const { jobId } of held) await holder.when('stops', jobId);
}

/** Measures a cancellation until its end is published and the job has stopped, or has left its queue. */
async function measureCancels(line: Line, rounds: number) {
  const peer = await startPeer(line);
  const running: number[] = [];
  const waiting: number[] = [];
  const now = () => performance.timeOrigin + performance.now();
  const recordedEnd = ({ userId, jobId }: Submitted) =>
    waitFor('the end to be published', async () =>
      (await line.events(userId, `job:${jobId}`)).some(({ type }) => isTerminalEvent(type)),
    );
  for (let round = 0; round < rounds; round++) {
    const job = await line.infer();
    await peer.when('begins', job.jobId);
    const at = now();
    await line.cancel(job);
    await recordedEnd(job);
    running.push(Math.max(await peer.when('stops', job.jobId), now()) - at);
  }
  await line.queue(QUEUE).pause();
  for (let round = 0; round < rounds; round++) {
    const job = await line.infer();
    const at = now();
    await line.cancel(job);
    await recordedEnd(job);
    await waitFor('the job to leave its queue', async () => !(await line.queue(QUEUE).getJob(job.jobId)));
    waiting.push(now() - at);
  }
  await line.queue(QUEUE).resume();
  peer.signal('SIGTERM');
  await peer.gone();
  return { running, waiting };
}

/** Starts a line with other jobs behind those that are measured, so that its queue has priorities. */
export async function createBusyLine(): Promise<Line> {
  const line = await createLine();
  await Promise.all(
    Array.from({ length: WAITING }, (_, i) =>
      line.queue(QUEUE).add('delayed', {}, { delay: 3_600_000, priority: i + 1 }),
    ),
  );
  return line;
}

export type MovesOptions = { requeues: number; cancels: number };

/** Measures how fast a job is requeued at SIGTERM, or cancelled. */
export async function measureJobs({ requeues, cancels }: MovesOptions): Promise<Figure[]> {
  const line = await createBusyLine();
  const { running, waiting } = await measureCancels(line, cancels);
  const requeued = await measureMoves(line, { signal: 'SIGTERM', rounds: requeues, jobs: 4 });
  await line.stop();
  return [
    ...spread('cancel of a running job, until stopped and published', running, 1000),
    ...spread('cancel of a waiting job, until removed and published', waiting, 1000),
    ...spread('SIGTERM → a peer runs its jobs', requeued, 250),
  ];
}

/**
 * The median and the 95th percentile of times.
 * @param atMost the target of both, ms; left out: none
 */
export function spread(name: string, values: number[], atMost?: number): Figure[] {
  const target = atMost === undefined ? {} : { target: { atMost } };
  return [
    { name: `${name}, p50`, value: median(values), unit: 'ms', ...target },
    { name: `${name}, p95`, value: percentile(values, 95), unit: 'ms', ...target },
  ];
}
