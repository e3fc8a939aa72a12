import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, types, waitForEvents } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
  await Promise.all([fleet.worker('a'), fleet.worker('b')]);
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

/**
 * Checks that the run ended cancelled, published it once, and left no record, queue entry, container or
 * volume open.
 */
async function checkNothingIsLeft(start: Submitted): Promise<void> {
  const { client } = fleet.queueRedis;
  const events = await waitForEvents(fleet, start, `job:${start.jobId}`, 'job.cancelled');
  await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.stopped');
  await waitFor('the follow-up to be over', async () => (await client.zcard(keys.cancellations())) === 0);
  expect(types(events).filter((type) => type === 'job.cancelled')).toHaveLength(1);
  expect(await fleet.job(start)).toMatchObject({ state: 'cancelled' });
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
  await waitFor('its queue to be empty', async () => {
    const { waiting, active, delayed, prioritized } = await fleet.queue('containers').getJobCounts();
    return waiting === 0 && active === 0 && delayed === 0 && prioritized === 0;
  });
  const own = ({ Names }: { Names: string[] }) => Names.some((name) => name.includes(start.containerId));
  expect((await fleet.containers()).filter(own)).toEqual([]);
  expect((await fleet.volumes()).filter(({ Name }) => Name.includes(start.containerId))).toEqual([]);
  expect(await client.zcard(keys.openJobs(start.userId))).toBe(0);
  expect(await client.zcard(keys.openContainers(start.userId))).toBe(0);
  for (const host of ['a', 'b']) {
    expect(await client.smembers(keys.hostContainers(host))).not.toContain(
      `${start.userId}/${start.containerId}`,
    );
  }
}

test('a cancelled start that waits leaves its queue', async () => {
  await fleet.queue('containers').pause();
  const start = await fleet.startDesktop();
  await waitFor(
    'it to be queued',
    async () => (await fleet.events(start.userId, `job:${start.jobId}`)).length > 0,
  );
  expect(await fleet.cancel(start)).toMatchObject({ verdict: 'cancelled' });
  await waitFor(
    'it to leave',
    async () => (await fleet.queue('containers').getJob(start.jobId)) === undefined,
  );
  await fleet.queue('containers').resume();
  await checkNothingIsLeft(start);
  expect(types(await fleet.events(start.userId, `job:${start.jobId}`))).toEqual([
    'job.queued',
    'job.cancelled',
  ]);
});

test.each([
  ['is placed', 10, false],
  ['has its container', 30, false],
  ['is placed and misses the message', 10, true],
  ['has its container and misses the message', 30, true],
])(
  'a start that is cancelled once it %s leaves no container or volume, unless it completed first',
  async (_, percent, unheard) => {
    const start = await fleet.startDesktop();
    await waitFor('the phase', async () => ((await fleet.job(start))?.progress ?? 0) >= percent);
    // Late in the start its job may have completed already: that end remains.
    const { verdict } = await fleet.cancel(start, { unheard });
    if (verdict === 'cancelled') return checkNothingIsLeft(start);
    expect(verdict).toBe('ended');
    await reached(fleet, start, 'completed');
  },
);

test('a start is cancelled between the start of its desktop and the end of its job, and leaves nothing', async () => {
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  // The state between the two, in the ledger as well.
  const { sql } = fleet.postgres;
  await waitFor('the ledger to know', async () => {
    const [row] = await sql`select 1 from jobs where id = ${start.jobId} and finished_at is not null`;
    return row !== undefined;
  });
  await sql`update jobs set state = 'active', finished_at = null where id = ${start.jobId}`;
  await fleet.queueRedis.client.hset(keys.job(start.userId, start.jobId), 'state', 'active');
  await fleet.realtime.client.flushall();
  expect(await fleet.cancel(start)).toMatchObject({ verdict: 'cancelled' });
  await checkNothingIsLeft(start);
});

test('a cancelled start is retried with a new desktop: each run publishes one end, and only the new desktop runs', async () => {
  await fleet.queue('containers').pause();
  const first = await fleet.startDesktop();
  await fleet.cancel(first, { unheard: true });
  const second = await fleet.retry(first);
  expect(second.data.run).toBe(2);
  await fleet.queue('containers').resume();
  await reached(fleet, second, 'completed');
  await waitForEvents(fleet, first, `container:${first.containerId}`, 'container.stopped');
  const events = await waitForEvents(fleet, second, `job:${second.jobId}`, 'job.completed');
  const ends = events.filter(({ type }) => type === 'job.cancelled' || type === 'job.completed');
  expect(ends.map(({ type, run }) => [type, run])).toEqual([
    ['job.cancelled', 1],
    ['job.completed', 2],
  ]);
  expect(ends[0]?.data.containerId).toBe(first.containerId);
  expect(await fleet.container(first)).toMatchObject({ state: 'stopped' });
  expect(await fleet.container(second)).toMatchObject({ state: 'running' });
  await reached(fleet, await fleet.stopDesktop(second), 'completed');
});

test('a failed start is retried with a new desktop that runs; each run ends once', async () => {
  const first = await fleet.startDesktop({ memoryMb: 1 });
  await reached(fleet, first, 'failed');
  const { client } = fleet.queueRedis;
  const key = keys.container(first.userId, first.containerId);
  const spec = JSON.parse((await client.hget(key, 'spec')) ?? '{}') as object;
  await client.hset(key, 'spec', JSON.stringify({ ...spec, memoryMb: 256 }));
  const second = await fleet.retry(first);
  expect(await reached(fleet, second, 'completed')).toMatchObject({
    run: 2,
    attemptsMade: 1,
    containerId: second.containerId,
  });
  const events = await waitForEvents(fleet, second, `job:${second.jobId}`, 'job.completed');
  const perRun = (run: number) => types(events.filter((event) => event.run === run));
  const progress = ['job.progress', 'job.progress', 'job.progress'];
  expect(perRun(1)).toEqual(['job.queued', 'job.active', 'job.failed']);
  expect(perRun(2)).toEqual(['job.queued', 'job.active', ...progress, 'job.completed']);
  await reached(fleet, await fleet.stopDesktop(second), 'completed');
  expect(await fleet.containers()).toEqual([]);
});
