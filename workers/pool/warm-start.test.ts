import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { Reservations } from '@warmwind/shared/engine/node/reservations';
import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LABELS } from '../containers/spec.ts';
import { insideOf } from '../testing/desktop.ts';
import { duringSweep } from '../testing/during-sweep.ts';
import { createFleet, type Fleet, reached, types, type Worker, waitForEvents } from '../testing/fleet.ts';
import { filledPool, metricOf, POOLED, pooledInstances, withPool } from '../testing/pool.ts';
import type { Submitted } from '../testing/submissions.ts';
import { watch } from '../testing/viewer.ts';

let fleet: Fleet;
let worker: Worker;
beforeAll(async () => {
  fleet = await createFleet();
  worker = await fleet.worker('a', withPool(fleet));
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

const engineOf = async (start: Submitted): Promise<Docker.Container> =>
  fleet.docker.getContainer(await fleet.instance(start));
const stop = async (start: Submitted) => reached(fleet, await fleet.stopDesktop(start), 'completed');
const misses = (reason: string) => metricOf(worker, 'warmwind_warm_pool_misses_total', { reason });

/** Starts a desktop that the pool has ready. */
async function startWarm(spec: Parameters<Fleet['startDesktop']>[0] = {}, userId?: string) {
  const [before] = await filledPool(fleet, worker);
  const start = await fleet.startDesktop({ ...POOLED, ...spec }, userId);
  const job = await reached(fleet, start, 'completed');
  return { start, job, before };
}

test('a start takes an instance that ran before it, says so, and the pool is filled again', async () => {
  const hits = await metricOf(worker, 'warmwind_warm_pool_hits_total');
  const { start, job, before } = await startWarm();
  const { userId, jobId, containerId } = start;
  const size = { width: 1280, height: 720 };
  expect(job.result).toEqual({ containerId, ...size, warm: true });
  const container = await fleet.container(start);
  expect(container).toMatchObject({ state: 'running', warm: true, host: 'a', ...size });
  const { Id, Created, Config } = await (await engineOf(start)).inspect();
  expect(Id).toBe(before?.Id);
  expect(Date.parse(Created)).toBeLessThan(Date.parse(container?.createdAt ?? ''));
  expect(Object.values(Config.Labels)).not.toContain(containerId);
  const room = await waitForEvents(fleet, start, `container:${containerId}`, 'container.started');
  expect(types(room)).toEqual(['container.requested', 'container.starting', 'container.started']);
  expect(room.at(-1)?.data).toMatchObject({ containerId, warm: true });
  expect(types(await waitForEvents(fleet, start, `job:${jobId}`, 'job.completed'))).toEqual([
    'job.queued',
    'job.active',
    'job.progress',
    'job.completed',
  ]);
  expect(await metricOf(worker, 'warmwind_warm_pool_hits_total')).toBe(hits + 1);
  const [next] = await filledPool(fleet, worker);
  expect(next?.Id).not.toBe(Id);

  // A process that republishes the event reads that it was warm from the record.
  const room2 = keys.container(userId, containerId);
  expect(await fleet.queueRedis.client.hget(room2, 'warm')).toBe('1');
  await stop(start);
  expect((await fleet.containers()).map((found) => found.Id)).not.toContain(Id);
  const names = (await fleet.volumes()).map(({ Name }) => Name);
  expect(names).not.toContain(await fleet.instance(start));
});

test('a warm start during a sweep keeps the reservation of the instance that it took', async () => {
  const [pooled] = await filledPool(fleet, worker);
  const { ID, Name } = await fleet.docker.info();
  const machine = `${ID}@${Name}`;
  const reservations = new Reservations(fleet.queueRedis.client);
  const instance = pooled?.Labels[LABELS.instance] ?? '';
  const reservation = (await reservations.list(machine)).get(instance);
  if (!reservation) throw new Error('no reservation');
  const old = { ...reservation, at: reservation.at - 60_000 };
  await reservations.keep({ machine, instance, reservation: old });
  const start = await duringSweep(worker, async () => {
    const submitted = await fleet.startDesktop(POOLED);
    expect((await reached(fleet, submitted, 'completed')).result).toMatchObject({ warm: true });
    return submitted;
  });
  expect((await reservations.list(machine)).get(instance)).toMatchObject({ containerId: start.containerId });
  await stop(start);
});

test('the reservation, the row of the volume and the record of a warm start are those of a cold one', async () => {
  const { start } = await startWarm({ memoryMb: 700, cpus: 2 });
  const key = keys.container(start.userId, start.containerId);
  const instanceId = (await fleet.queueRedis.client.hget(key, 'instanceId')) ?? '';
  const { ID, Name } = await fleet.docker.info();
  const all = await new Reservations(fleet.queueRedis.client).list(`${ID}@${Name}`);
  const vector = { memoryMb: 700, cpus: 2, containers: 1 };
  expect(all.get(instanceId)).toMatchObject({ containerId: start.containerId, host: 'a', vector });
  const rows = await fleet.postgres.sql`
    select user_id, container_id, state from volumes where id = ${instanceId}`;
  expect(rows).toMatchObject([{ user_id: start.userId, container_id: start.containerId, state: 'present' }]);
  const { HostConfig } = await (await engineOf(start)).inspect();
  expect(HostConfig).toMatchObject({
    Memory: 700 * 2 ** 20,
    MemorySwap: 700 * 2 ** 20,
    NanoCpus: 2e9,
    NetworkMode: 'none',
  });
  await stop(start);
  const after = await new Reservations(fleet.queueRedis.client).list(`${ID}@${Name}`);
  expect(after.has(instanceId)).toBe(false);
  expect(await fleet.postgres.sql`select state from volumes where id = ${instanceId}`).toMatchObject([
    { state: 'removed' },
  ]);
});

test.each([
  [320, 240],
  [640, 480],
  [3840, 2160],
])('a warm desktop of %i × %i has that size before its start completes', async (width, height) => {
  await filledPool(fleet, worker);
  const containerId = newId();
  const sizes: string[] = [];
  // It watches before the start, as a page does that shows a desktop which it has just asked for.
  const viewer = await watch(fleet.realtime.url, containerId, (_, canvas) =>
    sizes.push(`${canvas.width} × ${canvas.height}`),
  );
  try {
    const start = await fleet.startDesktop({ ...POOLED, width, height }, undefined, true, containerId);
    const { result } = await reached(fleet, start, 'completed');
    expect(result).toMatchObject({ width, height, warm: true });
    await waitFor('the first picture', () => sizes.length > 0);
    expect(new Set(sizes)).toEqual(new Set([`${width} × ${height}`]));
    await stop(start);
  } finally {
    await viewer.stop();
  }
});

test.each([
  ['env', { env: { EDITOR: 'vi' } }],
  ['image', { image: 'warmwind/other:latest' }],
  ['gpus', { gpus: 1 }],
  ['network', { network: 'egress' as const }],
])('a start with a %s of its own takes nothing from the pool', async (reason, spec) => {
  await filledPool(fleet, worker);
  const before = await misses(reason);
  const [ready] = await pooledInstances(fleet);
  const start = await fleet.startDesktop({ ...POOLED, ...spec });
  const job = await waitFor('its end', async () => {
    const now = await fleet.job(start);
    return now && ['completed', 'failed'].includes(now.state) ? now : undefined;
  });
  expect(job.result ?? {}).not.toHaveProperty('warm');
  if (reason === 'gpus') expect(job.error).toMatchObject({ code: 'no_gpu' });
  else expect(await misses(reason)).toBe(before + 1);
  expect((await pooledInstances(fleet)).map(({ Id }) => Id)).toEqual([ready?.Id]);
  if (job.state === 'completed') {
    expect((await fleet.container(start))?.warm).toBeUndefined();
    await stop(start);
  }
});

test('an instance that no longer answers costs a start time, and another is created for it', async () => {
  const [before] = await filledPool(fleet, worker);
  const instance = fleet.docker.getContainer(before?.Id ?? '');
  await insideOf(instance)('kill -STOP $(pidof Xvnc || pgrep Xvnc)');
  const failed = await misses('failed');
  const start = await fleet.startDesktop(POOLED);
  const job = await reached(fleet, start, 'completed');
  expect(job.result).not.toHaveProperty('warm');
  expect((await (await engineOf(start)).inspect()).Id).not.toBe(before?.Id);
  expect(await misses('failed')).toBe(failed + 1);
  expect((await fleet.containers()).map(({ Id }) => Id)).not.toContain(before?.Id);
  await stop(start);
});

test('a start of less memory than the instance uses gets another one', async () => {
  const [before] = await filledPool(fleet, worker);
  const inside = insideOf(fleet.docker.getContainer(before?.Id ?? ''));
  await inside('head -c 60000000 /dev/zero >/dev/shm/a; head -c 60000000 /dev/zero >/tmp/a');
  const start = await fleet.startDesktop({ ...POOLED, memoryMb: 128 });
  expect((await reached(fleet, start, 'completed')).result).not.toHaveProperty('warm');
  const { Id, HostConfig } = await (await engineOf(start)).inspect();
  expect(Id).not.toBe(before?.Id);
  expect(HostConfig.Memory).toBe(128 * 2 ** 20);
  await stop(start);
});

test('a stop while a warm start runs leaves nothing of it', async () => {
  await filledPool(fleet, worker);
  const start = await fleet.startDesktop({ ...POOLED, width: 2000 });
  await stop(start);
  expect((await fleet.container(start))?.state).toBe('stopped');
  const [ready] = await filledPool(fleet, worker);
  expect((await fleet.containers()).map(({ Id }) => Id)).toEqual([ready?.Id]);
  const owner = ready?.Names[0]?.slice(1) ?? 'none';
  for (const { Name } of await fleet.volumes()) expect(Name).toContain(owner);
});
