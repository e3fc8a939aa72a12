import { hostQueues, JOB_QUEUES } from '@warmwind/shared/engine/queues';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createLine, type Line } from '../testing/line.ts';
import { type Peer, Peers } from '../testing/peer.ts';
import type { Submitted } from '../testing/submissions.ts';

const SHARED = JOB_QUEUES.join(',');
const ALL = [...JOB_QUEUES, ...hostQueues('a')];

let line: Line;
let peers: Peers;
beforeEach(async () => {
  line = await createLine();
  peers = new Peers(line);
});
afterEach(async () => {
  await peers.kill();
  await line.stop();
});

/** Submits a job, and moves it to this queue before a worker could take it. */
async function submit(queue: string): Promise<Submitted> {
  const source = line.queue('ai-inference');
  await source.pause();
  const job = await line.infer();
  const entry = await source.getJob(job.jobId);
  if (queue !== 'ai-inference' && entry) {
    await entry.remove();
    await line.queue(queue).add(entry.name, entry.data, { ...entry.opts, jobId: job.jobId });
  }
  await source.resume();
  return job;
}

test('kill -9: a peer runs the jobs of every shared queue and leads, those of the host wait for its next process', async () => {
  const first = peers.start('a', ALL.join(','));
  await first.when('holds');
  await first.when('leads');
  const second = peers.start('b', SHARED);
  const jobs: { queue: string; job: Submitted }[] = [];
  for (const queue of ALL) jobs.push({ queue, job: await submit(queue) });
  const shared = jobs.filter(({ queue }) => !queue.includes('containers-'));
  const own = jobs.filter(({ queue }) => queue.includes('containers-'));
  // A shared job may run at either.
  const runs = ({ jobId }: Submitted, at: Peer) => at.count('begins', jobId) > 0;
  await waitFor('all to run', () => jobs.every(({ job }) => runs(job, first) || runs(job, second)));
  await peers.all('watches');
  const before = jobs.filter(({ job }) => runs(job, first));
  expect(before.length).toBeGreaterThanOrEqual(own.length);

  await first.kill();
  for (const { job } of shared) await second.when('begins', job.jobId, 10_000);
  await second.when('leads', '', 10_000);
  for (const { queue } of own) {
    await waitFor(`the job of ${queue} to wait`, async () => {
      const { active, waiting, prioritized } = await line.queue(queue).getJobCounts();
      return active === 0 && (waiting ?? 0) + (prioritized ?? 0) === 1;
    });
  }
  const third = peers.start('a', ALL.join(','));
  await third.when('holds', '', 10_000);
  for (const { job } of own) await third.when('begins', job.jobId, 10_000);
  for (const { job, queue } of jobs) {
    expect(await line.job(job)).toMatchObject({ state: 'active', attemptsMade: 0 });
    const times = peers.sum('begins', job.jobId);
    const moved = before.some((one) => one.job === job);
    expect([queue, times]).toEqual([queue, moved ? 2 : 1]);
  }
}, 60_000);
