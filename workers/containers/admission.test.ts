import { hasEnded } from '@warmwind/shared/contract/containers';
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
