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
/** Others that wait in the queue for later, as a queue in use has them. */
const WAITING = 50;

/** A worker process and what it has said. */
class Peer {
  readonly #child: ChildProcess;
  readonly #messages: ProcessMessage[] = [];

  constructor({ queueRedis, realtime }: Line) {
    const { PATH, LOCK_MS, STALLED_EVERY_MS } = process.env;
    const servers = { QUEUE_REDIS: queueRedis.url, REALTIME_REDIS: realtime.url };
    this.#child = fork(WORKER, { env: { PATH, LOCK_MS, STALLED_EVERY_MS, QUEUE, ...servers } });
    this.#child.on('message', (message: ProcessMessage) => this.#messages.push(message));
  }

  /** When it said so, the last time. */
  async when(what: ProcessMessage['what'], jobId = ''): Promise<number> {
    const last = () => this.#messages.findLast((one) => one.what === what && one.jobId === jobId);
    return (await waitFor(`${what} ${jobId}`, last, 60_000)).at;
  }

  /** → when it was sent. */
  end(signal: 'SIGKILL' | 'SIGTERM'): number {
    const at = performance.timeOrigin + performance.now();
    this.#child.kill(signal);
    return at;
  }

  async gone(): Promise<void> {
    const child = this.#child;
    await waitFor(
      'the process to be gone',
      () => child.exitCode !== null || child.signalCode !== null,
      30_000,
    );
  }
}

async function hire(line: Line): Promise<Peer> {
  const peer = new Peer(line);
  await peer.when('ready');
  return peer;
}

/**
 * How long jobs take to another worker when theirs is ended with `signal`. Each round has jobs of its own: one whose
 * worker is killed again and again is ended as the cause of it.
 */
async function measureMoves(line: Line, signal: 'SIGKILL' | 'SIGTERM', rounds: number, jobs: number) {
  const taken: number[] = [];
  let holder = await hire(line);
  for (let round = 0; round < rounds; round++) {
    const held: Submitted[] = [];
    for (let i = 0; i < jobs; i++) held.push(await line.infer());
    for (const { jobId } of held) await holder.when('begins', jobId);
    const peer = await hire(line);
    // Anywhere between two renewals of its locks and two looks for lost ones.
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

/** Cancels jobs that `holder` runs, none of which has spent an attempt by being moved. */
async function endAll(line: Line, holder: Peer, held: Submitted[]): Promise<void> {
  for (const job of held) {
    if ((await line.job(job))?.attemptsMade !== 0) throw new Error('a moved job has spent an attempt');
    await line.cancel(job);
  }
  for (const { jobId } of held) await holder.when('stops', jobId);
}

/** How long a cancellation takes until the end is told and nothing works on it, or it has left its queue. */
async function measureCancels(line: Line, rounds: number) {
  const peer = await hire(line);
  const running: number[] = [];
  const waiting: number[] = [];
  const now = () => performance.timeOrigin + performance.now();
  const recordedEnd = ({ userId, jobId }: Submitted) =>
    waitFor('the end to be told', async () =>
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
    await waitFor('it to leave', async () => !(await line.queue(QUEUE).getJob(job.jobId)));
    waiting.push(now() - at);
  }
  await line.queue(QUEUE).resume();
  peer.end('SIGTERM');
  await peer.gone();
  return { running, waiting };
}

export type MovesOptions = { kills: number; requeues: number; cancels: number };

/** How soon a job is with another worker, or with none. */
export async function measureJobs({ kills, requeues, cancels }: MovesOptions): Promise<Figure[]> {
  const line = await createLine();
  // Others wait, after all that is measured: the queue is one of priorities.
  await Promise.all(
    Array.from({ length: WAITING }, (_, i) =>
      line.queue(QUEUE).add('later', {}, { delay: 3_600_000, priority: i + 1 }),
    ),
  );
  const { running, waiting } = await measureCancels(line, cancels);
  const handedBack = await measureMoves(line, 'SIGTERM', requeues, 4);
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
    ...figures('cancel of a running job, until it has stopped and is told', running, 1000, 1000),
    ...figures('cancel of a waiting job, until it has left and is told', waiting, 1000, 1000),
    ...figures('SIGTERM → a peer runs its jobs', handedBack, 250, 250),
    ...figures('kill -9 → a peer runs its jobs', killed, 13_000, undefined),
  ];
}
