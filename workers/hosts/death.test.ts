import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { queueJobId } from '@warmwind/shared/engine/queues';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { Random } from '../../infra/quality/chaos/random.ts';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LABELS } from '../containers/spec.ts';
import {
  createFleet,
  type Fleet,
  killed,
  reached,
  types,
  type Worker,
  waitForEvents,
} from '../testing/fleet.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

const count = (events: { type: string }[], type: string) =>
  types(events as never).filter((each) => each === type).length;

test.each([7, 42])(
  'kill -9 in the middle of starts (seed %i): each ends once, with exactly one container',
  async (seed) => {
    const random = new Random(seed);
    const first = fleet.process('a');
    const starts = [];
    const opening = await fleet.startDesktop();
    await waitFor('work', async () => (await fleet.job(opening))?.state !== 'queued');
    starts.push(opening);
    for (let i = 0; i < 3; i++) {
      await sleep(random.int(0, 150));
      starts.push(await fleet.startDesktop());
    }
    await sleep(random.int(0, 300));
    await killed(first);
    fleet.process('b');
    fleet.process('a');

    for (const start of starts) {
      await reached(fleet, start, 'completed', 45_000);
      const log = await waitForEvents(fleet, start, `job:${start.jobId}`, 'job.completed');
      expect(count(log, 'job.completed')).toBe(1);
      const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.started');
      expect(count(room, 'container.started')).toBe(1);
    }
    const wanted = starts.map(({ containerId }) => containerId).sort();
    await waitFor(
      'exactly one container each',
      async () => {
        const now = (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container] ?? '').sort();
        return JSON.stringify(now) === JSON.stringify(wanted);
      },
      25_000,
    );
  },
  90_000,
);

test('SIGTERM in the middle of a start: a peer takes it over, and no attempt is spent', async () => {
  // An image that never greets holds the start in the middle.
  const idle = await fleet.docker.createContainer({ Image: fleet.image });
  const image = `warmwind/silent:${fleet.fleet}`;
  const [repo, tag] = image.split(':');
  // With the label of the desktop's image it would be taken for that image.
  const changes = 'ENTRYPOINT ["sleep", "600"]\nLABEL warmwind.source=none';
  await idle.commit({ repo, tag, changes });
  await idle.remove();
  onTestFinished(() => fleet.docker.getImage(image).remove({ force: true }));

  const first = fleet.process('a');
  const start = await fleet.startDesktop({ image });
  const runningOn = async (host: string) =>
    (await fleet.containers()).some(
      ({ State, Labels }) => State === 'running' && Labels[LABELS.host] === host,
    );
  await waitFor('the container', () => runningOn('a'));
  const exited = once(first, 'exit');
  first.kill('SIGTERM');
  await fleet.worker('b');
  expect(await exited).toEqual([0, null]);
  await waitFor('the peer to have it', () => runningOn('b'));
  expect(await runningOn('a')).toBe(false);
  expect(await fleet.job(start)).toMatchObject({ state: 'active', attemptsMade: 0 });
  const job = await fleet.queue('containers').getJob(queueJobId(start.jobId, 1));
  expect(job?.attemptsMade).toBe(0);

  await reached(fleet, await fleet.stopDesktop(start), 'completed');
  await reached(fleet, start, 'cancelled');
  expect(await fleet.containers()).toEqual([]);
});

test('a lost host: its desktop is lost once, its commands end, and it removes the remains when back', async () => {
  const first = fleet.process('a', { LOST_AFTER_MS: '4000' });
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  await killed(first);
  const stop = await fleet.stopDesktop(start);
  expect(stop.queue).toBe('containers-a');
  await fleet.worker('b', { LOST_AFTER_MS: '4000' });
  await reached(fleet, stop, 'completed', 25_000);
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.lost');
  expect(count(room, 'container.lost')).toBe(1);
  expect(await fleet.container(start)).toMatchObject({ state: 'lost' });
  expect(await fleet.containers()).toHaveLength(1);
  await fleet.worker('a');
  await waitFor('the remains to be removed', async () => (await fleet.containers()).length === 0);
  await waitFor('the volume to be removed', async () => (await fleet.volumes()).length === 0);
}, 60_000);

test('a job of an unknown kind is requeued without an attempt, and fails when its host is lost', async () => {
  const first = fleet.process('a', { LOST_AFTER_MS: '4000' });
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  const job = await fleet.submitUnknown(start);
  expect(job.queue).toBe('containers-a.work');
  const entry = () => fleet.queue(job.queue).getJob(queueJobId(job.jobId, 1));
  await waitFor('it to be requeued', async () => (await entry())?.isDelayed());
  expect((await entry())?.attemptsMade).toBe(0);
  expect(await fleet.job(job)).toMatchObject({ state: 'queued', attemptsMade: 0 });
  await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.queued');

  await killed(first);
  await fleet.worker('b', { LOST_AFTER_MS: '4000' });
  expect(await reached(fleet, job, 'failed', 25_000)).toMatchObject({
    kind: 'container.unheard-of',
    error: { code: 'host_lost', retryable: false },
  });
  const log = await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.failed');
  expect(types(log)).toEqual(['job.queued', 'job.failed']);
  expect(log.at(-1)).toMatchObject({ run: 1, data: { error: { code: 'host_lost' } } });
  await waitFor('it to leave its queue', async () => (await entry()) === undefined);
}, 60_000);

test('a worker that is back in time keeps its desktop and carries out its waiting command', async () => {
  const first = fleet.process('a');
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  await killed(first);
  await fleet.worker('b');
  const stop = await fleet.stopDesktop(start);
  await fleet.worker('a');
  await reached(fleet, stop, 'completed');
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
});

test('one process at a time holds the lease of a host; the next one waits until it stops', async () => {
  const first = await fleet.worker('a');
  const leaseOf = (worker: Worker) =>
    worker.probes.ready.lease?.().then(
      () => true,
      () => false,
    );
  await waitFor('the first to hold the name', () => leaseOf(first));
  const second = await fleet.worker('a');
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  expect(await leaseOf(second)).toBe(false);
  await first.stop();
  await waitFor('the second to hold it', () => leaseOf(second));
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
});

test('a worker continues after a restart of the queue Redis', async () => {
  await fleet.worker('a');
  await reached(fleet, await fleet.startDesktop(), 'completed');
  await fleet.queueRedis.kill();
  await fleet.queueRedis.restart();
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed', 25_000);
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
}, 60_000);

test('an unavailable engine costs attempts, then the desktop fails, once', async () => {
  await fleet.worker('a', { DOCKER_SOCKET: '/nowhere/docker.sock' });
  const start = await fleet.startDesktop();
  expect(await reached(fleet, start, 'delayed')).toMatchObject({ attemptsMade: 1 });
  expect(await fleet.container(start)).toMatchObject({ state: 'requested' });
  const queued = await fleet.queue('containers').getJob(start.jobId);
  await waitFor('the last attempt', async () => {
    await queued?.promote().catch(() => undefined);
    return (await fleet.job(start))?.state === 'failed';
  });
  expect(await fleet.job(start)).toMatchObject({ attemptsMade: 3, error: { code: 'engine_unavailable' } });
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.failed');
  expect(count(room, 'container.failed')).toBe(1);
  expect(count(room, 'container.starting')).toBe(3);
});
