import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { createLine, type Line } from '../../../workers/testing/line.ts';
import type { ProcessMessage } from '../../../workers/testing/solo.ts';
import type { Submitted } from '../../../workers/testing/submissions.ts';
import { waitFor } from '../testing/wait.ts';
import { type Figure, median, percentile } from './report.ts';

const WORKER = fileURLToPath(import.meta.resolve('../../../workers/testing/solo.ts'));
const QUEUE = 'ai-inference';
/** Delayed jobs in the queue, as in a queue in use. */
const WAITING = 50;

/** A worker process and its messages. */
class Peer {
  readonly #child: ChildProcess;
  readonly #messages: ProcessMessage[] = [];

  constructor({ queueRedis, realtime }: Line) {
    const { PATH, LOCK_MS, STALLED_EVERY_MS } = process.env;
    const servers = { QUEUE_REDIS: queueRedis.url, REALTIME_REDIS: realtime.url };
    this.#child = fork(WORKER, { env: { PATH, LOCK_MS, STALLED_EVERY_MS, QUEUE, ...servers } });
    this.#child.on('message', (message: ProcessMessage) => this.#messages.push(message));
  }

  /** Waits for a message. @returns when it was last sent, Unix ms */
  async when(what: ProcessMessage['what'], jobId = ''): Promise<number> {
    const last = () => this.#messages.findLast((one) => one.what === what && one.jobId === jobId);
    return (await waitFor(`${what} ${jobId}`, last, 60_000)).at;
  }

  /** Sends a signal. @returns when, Unix ms */
  end(signal: 'SIGKILL' | 'SIGTERM'): number {
    const at = performance.timeOrigin + performance.now();
    this.#child.kill(signal);
    return at;
  }

  async gone(): Promise<void> {
    const child = this.#child;
    await waitFor('the process to end', () => child.exitCode !== null || child.signalCode !== null, 30_000);
  }
}

async function startPeer(line: Line): Promise<Peer> {
  const peer = new Peer(line);
  await peer.when('ready');
  return peer;
}

/**
 * Measures how long jobs take to run at another worker when theirs is ended with `signal`. Each round has
 * jobs of its own, because a job whose workers are killed repeatedly is failed as the cause.
 */
async function measureMoves(line: Line, signal: 'SIGKILL' | 'SIGTERM', rounds: number, jobs: number) {
  const taken: number[] = [];
  let holder = await startPeer(line);
  for (let round = 0; round < rounds; round++) {
    const held: Submitted[] = [];
    for (let i = 0; i < jobs; i++) held.push(await line.infer());
    for (const { jobId } of held) await holder.when('begins', jobId);
    const peer = await startPeer(line);
    // At a random time between two lock renewals and two checks for stalled jobs.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 2000));
    const at = holder.end(signal);
    for (const { jobId } of held) taken.push((await peer.when('begins', jobId)) - at);
    await holder.gone();
    holder = peer;
    await endAll(line, holder, held);
  }
  holder.end('SIGTERM');
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
  peer.end('SIGTERM');
  await peer.gone();
  return { running, waiting };
}

export type MovesOptions = { kills: number; requeues: number; cancels: number };

/** Measures how fast a job is moved to another worker, or cancelled. */
export async function measureJobs({ kills, requeues, cancels }: MovesOptions): Promise<Figure[]> {
  const line = await createLine();
  // Other jobs wait behind those that are measured, so the queue has priorities.
  await Promise.all(
    Array.from({ length: WAITING }, (_, i) =>
      line.queue(QUEUE).add('delayed', {}, { delay: 3_600_000, priority: i + 1 }),
    ),
  );
  const { running, waiting } = await measureCancels(line, cancels);
  const requeued = await measureMoves(line, 'SIGTERM', requeues, 4);
  const killed = await measureMoves(line, 'SIGKILL', kills, 4);
  await line.stop();
  const figures = (
    name: string,
    values: number[],
    p50: number | undefined,
    p95: number | undefined,
  ): Figure[] => [
    { name: `${name}, p50`, value: median(values), unit: 'ms', ...(p50 ? { target: { atMost: p50 } } : {}) },
    {
      name: `${name}, p95`,
      value: percentile(values, 95),
      unit: 'ms',
      ...(p95 ? { target: { atMost: p95 } } : {}),
    },
  ];
  return [
    ...figures('cancel of a running job, until stopped and published', running, 1000, 1000),
    ...figures('cancel of a waiting job, until removed and published', waiting, 1000, 1000),
    ...figures('SIGTERM → a peer runs its jobs', requeued, 250, 250),
    ...figures('kill -9 → a peer runs its jobs', killed, 13_000, undefined),
  ];
}
