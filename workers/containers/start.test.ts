import { keys } from '@warmwind/shared/engine/keys';
import { queueJobId } from '@warmwind/shared/engine/queues';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { percentsOf } from '../../infra/quality/testing/events.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { enqueue } from '../runtime/enqueue.ts';
import { createFleet, type Fleet, reached, types, waitForEvents } from '../testing/fleet.ts';
import { UIDS } from './reservations.ts';
import { SECCOMP } from './seccomp.ts';
import { LABELS, OUTPUT_LOG, SUPERVISOR_PATH } from './spec.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

test('a start publishes each step, and its stop leaves no container or volume', async () => {
  const start = await fleet.startDesktop();
  const { userId, jobId, containerId } = start;
  expect(await reached(fleet, start, 'completed')).toMatchObject({
    progress: 100,
    attemptsMade: 1,
    result: { containerId, width: 800, height: 600 },
  });
  const log = await waitForEvents(fleet, start, `job:${jobId}`, 'job.completed');
  const progress = ['job.progress', 'job.progress', 'job.progress'];
  expect(types(log)).toEqual(['job.queued', 'job.active', ...progress, 'job.completed']);
  expect(percentsOf(log)).toEqual([10, 30, 100]);

  const running = await fleet.container(start);
  expect(running).toMatchObject({ state: 'running', host: 'a' });
  const room = await fleet.events(userId, `container:${containerId}`);
  expect(types(room)).toEqual(['container.requested', 'container.starting', 'container.started']);
  expect(room.at(-1)?.data).toEqual({ containerId, width: 800, height: 600, expiresAt: running?.expiresAt });
  const [container, ...others] = await fleet.containers();
  expect(others).toEqual([]);
  expect(container).toMatchObject({ State: 'running', Names: [`/${await fleet.instance(start)}`] });

  const stop = await fleet.stopDesktop(start);
  expect(stop.queue).toBe('containers-a');
  await reached(fleet, stop, 'completed');
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
  expect(await fleet.containers()).toEqual([]);
  expect(await fleet.volumes()).toEqual([]);
  const end = await waitForEvents(fleet, start, `container:${containerId}`, 'container.stopped');
  expect(types(end).slice(3)).toEqual(['container.stopping', 'container.stopped']);
  expect(await fleet.queueRedis.client.zcard(`ww:{${userId}}:open-containers`)).toBe(0);
  expect(await fleet.queueRedis.client.zcard(`ww:{${userId}}:open-jobs`)).toBe(0);
});

test('a desktop runs without rights, network or swap, with a bounded log', async () => {
  const start = await fleet.startDesktop({ env: { EDITOR: 'vi' } });
  await reached(fleet, start, 'completed');
  const name = await fleet.instance(start);
  const { Config, HostConfig, NetworkSettings } = await fleet.docker.getContainer(name).inspect();
  const uid = Number(Config.Labels[LABELS.uid]);
  expect(uid).toBeGreaterThanOrEqual(UIDS.first);
  expect(Config).toMatchObject({ User: '0:0', Entrypoint: [SUPERVISOR_PATH], Cmd: [`${uid}`] });
  expect(Config.Env).toEqual(expect.arrayContaining(['EDITOR=vi', 'SCREEN_WIDTH=800', 'SCREEN_HEIGHT=600']));
  expect(HostConfig).toMatchObject({
    ReadonlyRootfs: true,
    Privileged: false,
    CapDrop: ['ALL'],
    CapAdd: ['SETUID', 'SETGID', 'SETPCAP', 'KILL'],
    SecurityOpt: ['no-new-privileges', SECCOMP],
    Memory: 256 * 2 ** 20,
    MemorySwap: 256 * 2 ** 20,
    PidsLimit: 448,
    IpcMode: 'private',
    NetworkMode: 'none',
    LogConfig: OUTPUT_LOG,
  });
  expect(Object.keys(NetworkSettings.Networks)).toEqual(['none']);
  const volume = await fleet.docker.getVolume(name).inspect();
  expect(volume.Options).toMatchObject({ type: 'tmpfs', o: expect.stringContaining('size=1048576,') });
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
});

test.each([
  [{ image: 'warmwind/none:such' }, 'image_missing'],
  [{ gpus: 1 }, 'no_gpu'],
  [{ network: 'egress' as const }, 'no_egress'],
  [{ memoryMb: 1 }, 'invalid_spec'],
])('a start with %j fails at its first attempt and leaves no container or volume', async (spec, code) => {
  const start = await fleet.startDesktop(spec);
  const { userId, jobId, containerId } = start;
  expect(await reached(fleet, start, 'failed')).toMatchObject({ attemptsMade: 1, error: { code } });
  await waitForEvents(fleet, start, `job:${jobId}`, 'job.failed');
  expect(await fleet.container(start)).toMatchObject({ state: 'failed' });
  expect(types(await fleet.events(userId, `container:${containerId}`))).toEqual([
    'container.requested',
    'container.starting',
    'container.failed',
  ]);
  expect(await fleet.containers()).toEqual([]);
  expect(await fleet.volumes()).toEqual([]);
});

test('a start that is delivered twice at once, with two hosts, leaves exactly one container', async () => {
  const b = await fleet.worker('b');
  const starts = await Promise.all(
    [0, 1, 2].map(async () => {
      const start = await fleet.startDesktop();
      await fleet.queue('containers').add('container.start', start.data, { jobId: `${start.jobId}-again` });
      return start;
    }),
  );
  for (const start of starts) {
    await reached(fleet, start, 'completed');
    const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.started');
    expect(types(room).filter((type) => type === 'container.started')).toHaveLength(1);
    const log = await waitForEvents(fleet, start, `job:${start.jobId}`, 'job.completed');
    expect(types(log).filter((type) => type === 'job.completed')).toHaveLength(1);
  }
  // The delivery that lost the run leaves its queue once its lock has expired: earlier it would claim the run
  // again.
  const bothEnded = async () => {
    const { active = 0, delayed = 0, waiting = 0 } = await fleet.queue('containers').getJobCounts();
    return active + delayed + waiting === 0;
  };
  await waitFor('both deliveries to end', bothEnded, 25_000);
  const running = (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container]);
  expect(running.sort()).toEqual(starts.map(({ containerId }) => containerId).sort());
  for (const start of starts) await reached(fleet, await fleet.stopDesktop(start), 'completed');
  await b.stop();
}, 60_000);

/** Adds the run once its first delivery has left the queue: until then a run is not added twice. */
async function deliverAgain({ jobId, data }: Awaited<ReturnType<Fleet['startDesktop']>>): Promise<void> {
  const queue = fleet.queue('containers');
  const isOver = async () => (await queue.getJob(queueJobId(jobId, 1)))?.isCompleted() ?? true;
  await waitFor('the first delivery to end', isOver);
  await enqueue(queue, data, 5);
}

test('a repeated start adopts the running container of its own placement and creates no other', async () => {
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  const [before] = await fleet.containers();
  // The state of a Redis that lost the last seconds of the start.
  const { client } = fleet.queueRedis;
  await client.hset(keys.container(start.userId, start.containerId), 'state', 'starting');
  await client.hset(keys.job(start.userId, start.jobId), 'state', 'queued', 'fence', '0');
  await deliverAgain(start);
  await reached(fleet, start, 'completed');
  expect(await fleet.container(start)).toMatchObject({ state: 'running' });
  expect(await client.hget(keys.container(start.userId, start.containerId), 'fence')).toBe('1');
  expect((await fleet.containers()).map(({ Id }) => Id)).toEqual([before?.Id]);
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
});

test('a completed start that Redis lost completes again, although its desktop was stopped', async () => {
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
  const { client } = fleet.queueRedis;
  const key = keys.job(start.userId, start.jobId);
  await client.hset(key, 'state', 'queued', 'fence', '0');
  await deliverAgain(start);
  await waitFor(
    'its end',
    async () =>
      (await client.hget(key, 'state')) !== 'queued' && (await fleet.job(start))?.state !== 'active',
  );
  expect(await fleet.job(start)).toMatchObject({ state: 'completed' });
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
});
