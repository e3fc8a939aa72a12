import { once } from 'node:events';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LABELS } from '../containers/spec.ts';
import { createFleet, type Fleet, killed, reached, type Worker } from '../testing/fleet.ts';
import { filledPool, metricOf, POOLED, pooledInstances, withPool } from '../testing/pool.ts';

/** A busy machine creates few instances a minute. */
const SOON_MS = 60_000;

let fleet: Fleet;
const workers: Worker[] = [];
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.stop();
  expect(await fleet.containers()).toEqual([]);
  expect(await fleet.volumes()).toEqual([]);
});
afterAll(() => fleet?.stop());

async function startWorker(host: string, size: number, more: Record<string, string> = {}): Promise<Worker> {
  const worker = await fleet.worker(host, { ...withPool(fleet, size), ...more });
  workers.push(worker);
  return worker;
}
const ids = async () => (await fleet.containers()).map(({ Id }) => Id).sort();
const hostsOf = async () => (await pooledInstances(fleet)).map(({ Labels }) => Labels[LABELS.host]).sort();
const stop = async (start: Awaited<ReturnType<Fleet['startDesktop']>>) =>
  reached(fleet, await fleet.stopDesktop(start), 'completed');

test.each([
  ['killed', (id: string) => fleet.docker.getContainer(id).kill()],
  ['removed', (id: string) => fleet.docker.getContainer(id).remove({ force: true })],
  ['paused', (id: string) => fleet.docker.getContainer(id).pause()],
])(
  'an instance that is %s by another program is replaced, and the sweep keeps the others',
  async (_, end) => {
    const worker = await startWorker('a', 2);
    const before = await filledPool(fleet, worker, 2);
    await worker.sweep();
    expect(await ids()).toEqual(before.map(({ Id }) => Id).sort());
    const [gone, kept] = before.map(({ Id }) => Id);
    await end(gone ?? '');
    const after = await waitFor('another instance', async () => {
      const found = await filledPool(fleet, worker, 2);
      return found.every(({ Id }) => Id !== gone) ? found : undefined;
    });
    expect(after.map(({ Id }) => Id)).toContain(kept);
    await waitFor('nothing else', async () => (await ids()).length === 2);
  },
);

test('an instance of an older image is replaced once its reference names another', async () => {
  const { docker } = fleet;
  const named = { repo: `warmwind/pooled-${fleet.fleet}`, tag: 'latest' };
  const image = `${named.repo}:${named.tag}`;
  await docker.getImage(fleet.image).tag(named);
  try {
    const worker = await startWorker('a', 1, { DESKTOP_IMAGES: JSON.stringify({ desktop: image }) });
    const [before] = await filledPool(fleet, worker);
    const changed = await docker.createContainer({ Image: image });
    // With the label of the desktop's image it would be taken for that image.
    await changed.commit({ ...named, changes: 'LABEL warmwind.source=none' });
    await changed.remove();
    const { Id: imageId } = await docker.getImage(image).inspect();
    const after = await waitFor('another instance', async () => {
      const [found] = await filledPool(fleet, worker);
      return found && found.Id !== before?.Id ? found : undefined;
    });
    expect(after.ImageID).toBe(imageId);
    await worker.stop();
  } finally {
    await docker.getImage(image).remove({ force: true });
  }
});

test('after kill -9 the next process removes what its pool had, uses none of it, and fills its own', async () => {
  const first = fleet.process('a', withPool(fleet, 2));
  await waitFor('the pool', async () => (await pooledInstances(fleet)).length === 2, SOON_MS);
  const before = await ids();
  await killed(first);
  expect(await ids()).toEqual(before);
  const start = await fleet.startDesktop(POOLED);
  const worker = await startWorker('a', 1);
  const { result } = await reached(fleet, start, 'completed');
  const { Id } = await fleet.docker.getContainer(await fleet.instance(start)).inspect();
  expect(before).not.toContain(Id);
  expect(result).not.toHaveProperty('warm');
  const [ready] = await filledPool(fleet, worker);
  await waitFor('the old instances to be gone', async () => (await ids()).length === 2);
  expect(await ids()).toEqual([Id, ready?.Id].sort());
  const names = [await fleet.instance(start), ready?.Names[0]?.slice(1) ?? 'none'];
  await waitFor('the old volumes to be gone', async () => {
    const volumes = await fleet.volumes();
    return volumes.every(({ Name }) => names.some((name) => Name.startsWith(name)));
  });
  await stop(start);
});

test('a cold start that does not fit beside the pool gets its room', async () => {
  const worker = await startWorker('a', 2, { HOST_MEMORY_MB: '1100' });
  await filledPool(fleet, worker, 2);
  const start = await fleet.startDesktop({ ...POOLED, memoryMb: 1000, env: { EDITOR: 'vi' } });
  const { result } = await reached(fleet, start, 'completed');
  expect(result).not.toHaveProperty('warm');
  expect(await pooledInstances(fleet)).toEqual([]);
  await stop(start);
});

test('a start of more memory than an instance has fits, or makes the pool give way', async () => {
  const worker = await startWorker('a', 1, { HOST_MEMORY_MB: '1000' });
  await filledPool(fleet, worker);
  const start = await fleet.startDesktop({ ...POOLED, memoryMb: 900 });
  expect((await reached(fleet, start, 'completed')).result).toMatchObject({ warm: true });
  expect(await metricOf(worker, 'warmwind_warm_pool_refills_total', { outcome: 'no_room' })).toBe(0);
  await waitFor(
    'a refill without room',
    async () => (await metricOf(worker, 'warmwind_warm_pool_refills_total', { outcome: 'no_room' })) > 0,
  );
  expect(await ids()).toHaveLength(1);
  await stop(start);
});

test('a drained host keeps no instances, and fills its pool again when the drain ends', async () => {
  const worker = await startWorker('a', 2);
  await filledPool(fleet, worker, 2);
  const { client } = fleet.queueRedis;
  await client.hset(keys.drainingHosts(), 'a', JSON.stringify({ since: Date.now() }));
  await waitFor('an empty host', async () => (await ids()).length === 0);
  await client.hdel(keys.drainingHosts(), 'a');
  await filledPool(fleet, worker, 2);
});

test('SIGTERM removes the instances before the process ends', async () => {
  const child = fleet.process('a', withPool(fleet, 2));
  await waitFor('the pool', async () => (await pooledInstances(fleet)).length === 2, SOON_MS);
  child.kill('SIGTERM');
  await once(child, 'exit');
  expect(await ids()).toEqual([]);
  expect(await fleet.volumes()).toEqual([]);
});

test('while the ledger is unavailable a warm start waits as a cold one does, and runs when it is back', async () => {
  const worker = await startWorker('a', 1);
  await filledPool(fleet, worker);
  fleet.postgres.freeze();
  const start = await fleet.startDesktop(POOLED, undefined, false);
  await waitFor('the start to wait', async () => (await fleet.job(start))?.state === 'queued');
  expect(await fleet.container(start)).toMatchObject({ state: 'requested' });
  fleet.postgres.thaw();
  const { result } = await reached(fleet, start, 'completed', 60_000);
  expect(result).toMatchObject({ containerId: start.containerId });
  await filledPool(fleet, worker);
  await waitFor('nothing else', async () => (await ids()).length === 2);
  await stop(start);
});

test('the pools of two processes share the room of their machine', async () => {
  const room = { HOST_MEMORY_MB: '1600' };
  const [a, b] = [await startWorker('a', 2, room), await startWorker('b', 2, room)];
  const sizes = async () =>
    (await metricOf(a, 'warmwind_warm_pool_instances')) + (await metricOf(b, 'warmwind_warm_pool_instances'));
  await waitFor('the room to be used', async () => (await sizes()) === 3, SOON_MS);
  expect(await hostsOf()).toHaveLength(3);
});
