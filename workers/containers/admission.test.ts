import { hasEnded } from '@warmwind/shared/contract/containers';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, types, type Worker } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';
import { LABELS } from './spec.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  for (const start of started.splice(0)) {
    const now = await fleet.container(start);
    if (now && !hasEnded(now.state)) await reached(fleet, await fleet.stopDesktop(start), 'completed');
  }
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
afterAll(() => fleet?.stop());

const workers: Worker[] = [];
const started: Submitted[] = [];
const serve = async (host: string, settings: Record<string, string>) => {
  const worker = await fleet.worker(host, settings);
  workers.push(worker);
  return worker;
};
const begin = async (memoryMb: number) => {
  const start = await fleet.startDesktop({ memoryMb });
  started.push(start);
  return start;
};

const running = async () => (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container] ?? '');
const states = (starts: Submitted[]) =>
  Promise.all(starts.map(async (start) => (await fleet.container(start))?.state));
const messages = async ({ userId, jobId }: Submitted) =>
  (await fleet.events(userId, `job:${jobId}`)).map(({ type, data }) =>
    type === 'job.progress' ? data.message : undefined,
  );

test('starts that do not fit on the machine wait without spending an attempt, on either of its workers', async () => {
  // Two workers of one fleet on one engine share its memory.
  const room = { HOST_MEMORY_MB: '600' };
  await serve('a', room);
  await serve('b', room);
  const starts = await Promise.all([0, 1, 2, 3, 4].map(() => begin(256)));
  const up = await waitFor('two desktops, and three that wait', async () => {
    const now = await states(starts);
    const waiting = starts.filter((_, index) => now[index] === 'requested');
    const up = starts.filter((_, index) => now[index] === 'running');
    const received = await Promise.all(waiting.map(messages));
    const reported = received.every((texts) => texts.includes('waiting: no host has enough free memory now'));
    return up.length === 2 && waiting.length === 3 && reported && up;
  });
  expect((await running()).sort()).toEqual(up.map(({ containerId }) => containerId).sort());

  const [first] = up;
  if (!first) throw new Error('none runs');
  await reached(fleet, await fleet.stopDesktop(first), 'completed');
  const next = await waitFor('another', async () => {
    const now = await states(starts);
    return starts.find((start, index) => now[index] === 'running' && !up.includes(start));
  });
  expect(await reached(fleet, next, 'completed')).toMatchObject({ attemptsMade: 1 });
  expect(types(await fleet.events(next.userId, `container:${next.containerId}`))).not.toContain(
    'container.failed',
  );
  expect(await running()).toHaveLength(2);
});

test('a restarted worker counts the desktops that already run', async () => {
  const room = { HOST_MEMORY_MB: '600', HOST_WAIT_MS: '1500' };
  const before = await serve('c', room);
  const kept = await Promise.all([0, 1].map(() => begin(256)));
  for (const start of kept) await reached(fleet, start, 'completed');
  await before.stop();
  workers.splice(0, 1, await fleet.worker('c', room));
  const start = await begin(256);
  expect(await reached(fleet, start, 'failed')).toMatchObject({
    attemptsMade: 1,
    error: { code: 'no_room', retryable: false },
  });
  expect(await fleet.container(start)).toMatchObject({ state: 'failed' });
  expect(await running()).toHaveLength(2);
});

test('a host runs at most HOST_DESKTOPS desktops, however small', async () => {
  await serve('d', { HOST_MEMORY_MB: '600', HOST_DESKTOPS: '1', HOST_WAIT_MS: '1500' });
  const starts = await Promise.all([0, 1].map(() => begin(128)));
  await waitFor('one desktop to run and one to fail', async () =>
    (await states(starts)).sort().join() === 'failed,running' ? true : undefined,
  );
});

test('a start goes to the host that is large enough, and fails at once when there is none', async () => {
  await serve('e', { HOST_MEMORY_MB: '300' });
  const tooLarge = await begin(900);
  expect(await reached(fleet, tooLarge, 'failed')).toMatchObject({
    attemptsMade: 1,
    error: { code: 'desktop_too_large', retryable: false },
  });
  expect(await fleet.container(tooLarge)).toMatchObject({ state: 'failed' });

  await serve('f', { HOST_MEMORY_MB: '1000' });
  const start = await begin(900);
  expect(await reached(fleet, start, 'completed')).toMatchObject({ attemptsMade: 1 });
  expect(await fleet.container(start)).toMatchObject({ host: 'f' });
});

const waitingOf = async (start: Submitted) => (await fleet.job(start))?.waiting;
const setDraining = (host: string, draining: boolean) =>
  draining
    ? fleet.queueRedis.client.hset(keys.drainingHosts(), host, JSON.stringify({ since: Date.now() }))
    : fleet.queueRedis.client.hdel(keys.drainingHosts(), host);

test('a start that waits shows its reason and position, moves up when another is cancelled, and then runs', async () => {
  await serve('g', { HOST_MEMORY_MB: '600', HOST_DESKTOPS: '1' });
  const first = await begin(128);
  await reached(fleet, first, 'completed');
  const second = await begin(128);
  await waitFor('the second to wait', async () => (await waitingOf(second)) !== undefined);
  const third = await begin(128);
  await waitFor('the third to wait', async () => (await waitingOf(third))?.position === 2);
  expect(await waitingOf(second)).toEqual({ reason: 'containers', position: 1 });
  expect(await waitingOf(third)).toEqual({ reason: 'containers', position: 2 });

  await fleet.cancel(second);
  await waitFor('the third to move up', async () => (await waitingOf(third))?.position === 1);
  const published = (await fleet.events(third.userId, `job:${third.jobId}`)).flatMap(({ type, data }) =>
    type === 'job.progress' && data.waiting ? [data.waiting] : [],
  );
  expect(published).toContainEqual({ reason: 'containers', position: 2 });
  expect(published.at(-1)).toEqual({ reason: 'containers', position: 1 });
  expect(await waitingOf(second)).toBeUndefined();

  await reached(fleet, await fleet.stopDesktop(first), 'completed');
  expect(await reached(fleet, third, 'completed')).not.toHaveProperty('waiting');
  await waitFor('nothing to wait', async () => {
    const { client } = fleet.queueRedis;
    return (await client.exists(keys.waitingStarts(), keys.waitingStartDetails())) === 0;
  });
});

test('a drained host takes no start, serves the desktops that it has, also after its restart, and is taken back', async () => {
  const room = { HOST_MEMORY_MB: '600' };
  const before = await serve('h', room);
  const kept = await begin(128);
  await reached(fleet, kept, 'completed');
  await setDraining('h', true);
  await before.stop();
  workers.splice(workers.indexOf(before), 1);
  await serve('h', room);
  const start = await begin(128);
  const waiting = await waitFor('the start to wait', () => waitingOf(start));
  expect(waiting).toEqual({ reason: 'draining', position: 1 });

  await reached(fleet, await fleet.stopDesktop(kept), 'completed');
  await serve('i', room);
  expect(await reached(fleet, start, 'completed')).toMatchObject({ state: 'completed' });
  expect(await fleet.container(start)).toMatchObject({ host: 'i' });

  await setDraining('i', true);
  await setDraining('h', false);
  const next = await begin(128);
  await reached(fleet, next, 'completed');
  expect(await fleet.container(next)).toMatchObject({ host: 'h' });
  await setDraining('i', false);
});

test('a start with GPUs fails by its reason: none offered, too few, or none that the engine has', async () => {
  await serve('j', { HOST_GPUS: 'GPU-0001,GPU-0002', HOST_MEMORY_MB: '600' });
  const submit = async (gpus: number) => {
    const start = await fleet.startDesktop({ memoryMb: 128, gpus });
    started.push(start);
    return start;
  };
  expect(await reached(fleet, await submit(3), 'failed')).toMatchObject({ error: { code: 'no_gpu' } });
  const start = await submit(2);
  const failed = await waitFor('an attempt to fail', async () => {
    const log = await fleet.events(start.userId, `job:${start.jobId}`);
    return log.find(({ type }) => type === 'job.retrying');
  });
  // This machine has no such devices: only the request of them can be seen here.
  expect(failed.data).toMatchObject({ error: { code: 'gpu_unavailable', retryable: true } });
});
