import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { reached, types, waitForEvents } from '../testing/fleet.ts';
import { createLine, type Line } from '../testing/line.ts';

const SOLO = fileURLToPath(import.meta.resolve('../testing/solo.ts'));
const QUEUE = 'ai-inference';

let line: Line;
const processes = new Set<ChildProcess>();
beforeEach(async () => {
  line = await createLine();
});
afterEach(async () => {
  for (const child of processes) child.kill('SIGKILL');
  processes.clear();
  await line.stop();
});

/** A worker process that lives until its first job begins. */
const doomed = (): ChildProcess => {
  const { queueRedis, realtime } = line;
  const redis = { QUEUE_REDIS: queueRedis.url, REALTIME_REDIS: realtime.url };
  const quick = { LOCK_MS: '400', STALLED_EVERY_MS: '200' };
  const child = fork(SOLO, { env: { PATH: process.env.PATH, QUEUE, DIES: '1', ...redis, ...quick } });
  processes.add(child);
  return child;
};

test('a job that kills every worker fails after five to seven deaths, leaves its queue and publishes one job.failed', async () => {
  const job = await line.infer();
  // As an orchestrator does: a dead worker is started again.
  let deaths = 0;
  const hire = () => {
    const child = doomed();
    child.once('exit', () => {
      if (!processes.delete(child)) return;
      deaths += 1;
      hire();
    });
  };
  for (let i = 0; i < 3; i++) hire();
  expect(await reached(line, job, 'failed', 40_000)).toMatchObject({
    error: { code: 'worker_lost', retryable: true },
  });
  const events = await waitForEvents(line, job, `job:${job.jobId}`, 'job.failed');
  expect(types(events).filter((type) => type === 'job.failed')).toHaveLength(1);
  const { active, waiting, prioritized, delayed } = await line.queue(QUEUE).getJobCounts();
  expect({ active, waiting, prioritized, delayed }).toEqual({
    active: 0,
    waiting: 0,
    prioritized: 0,
    delayed: 0,
  });
  expect(deaths).toBeGreaterThanOrEqual(5);
  expect(deaths).toBeLessThanOrEqual(7);
}, 60_000);
