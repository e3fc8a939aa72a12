import { availableParallelism } from 'node:os';
import { HostResources } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { Reservations } from '@warmwind/shared/engine/node/reservations';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, killed, reached, type Worker } from '../testing/fleet.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

/** The name of the one machine of all hosts of the fleet. */
async function machineName(): Promise<string> {
  const { ID, Name } = (await fleet.docker.info()) as { ID: string; Name: string };
  return `${ID}@${Name}`;
}
/** The reservations on that machine. */
async function reserved(): Promise<{ containerId: string; host: string; memoryMb: number }[]> {
  const machine = await machineName();
  const all = await new Reservations(fleet.queueRedis.client).list(machine);
  return [...all.values()].map(({ containerId, host, vector }) => ({
    containerId,
    host,
    memoryMb: vector.memoryMb,
  }));
}
const machineOf = async (host: string) => {
  const published = await fleet.queueRedis.client.hget(keys.hostResources(), host);
  return published ? HostResources.parse(JSON.parse(published)) : undefined;
};
/** Sweeps until exactly these containers have reservations. */
const sweptTo = (worker: Worker, containerIds: string[]) =>
  waitFor(
    'the reservations to match',
    async () => {
      await worker.sweep();
      const now = (await reserved()).map(({ containerId }) => containerId).sort();
      return JSON.stringify(now) === JSON.stringify([...containerIds].sort());
    },
    20_000,
  );

test('a container holds its reservation until its end, and its host publishes its capacity', async () => {
  await fleet.worker('a', { HOST_MEMORY_MB: '900', HOST_DESKTOPS: '7' });
  const start = await fleet.startDesktop({ memoryMb: 300 });
  await reached(fleet, start, 'completed');
  const { containerId } = start;
  expect(await reserved()).toEqual([{ containerId, host: 'a', memoryMb: 300 }]);
  const machine = await machineName();
  await waitFor('the host to publish', async () => (await machineOf('a')) !== undefined);
  const published = await waitFor('its images to be published', async () => {
    const now = await machineOf('a');
    return now?.images && now;
  });
  expect(published).toMatchObject({
    machine,
    capacity: { memoryMb: 900, containers: 7, cpus: 8 * availableParallelism(), gpus: 0 },
    gpuIds: [],
    versions: { worker: expect.stringMatching(/^\d/), engine: expect.stringMatching(/^\d/) },
    draining: false,
  });
  expect(published.images).toContain(fleet.image);
  expect(published.capacity.diskMb).toBeGreaterThan(0);
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
  expect(await reserved()).toEqual([]);

  const failed = await fleet.startDesktop({ image: 'warmwind/none:such' });
  await reached(fleet, failed, 'failed');
  await waitFor('its reservation to end', async () => (await reserved()).length === 0);
});

test('a peer and a restarted worker respect reservations of which the engine has no container', async () => {
  const room = { HOST_MEMORY_MB: '600', HOST_WAIT_MS: '1500' };
  const first = await fleet.worker('a', room);
  const machine = await machineName();
  const vector = { memoryMb: 500, cpus: 1, diskMb: 0, gpus: 0, containers: 1 };
  const reservation = { containerId: 'elsewhere', host: 'c', vector, at: Date.now(), gpuIds: [] };
  await new Reservations(fleet.queueRedis.client).keep({ machine, instance: 'i9', reservation });
  await fleet.worker('b', room);
  const start = await fleet.startDesktop({ memoryMb: 256 });
  expect(await reached(fleet, start, 'failed')).toMatchObject({ error: { code: 'no_room' } });
  await first.stop();
  await fleet.worker('a', room);
  const again = await fleet.startDesktop({ memoryMb: 256 });
  expect(await reached(fleet, again, 'failed')).toMatchObject({ error: { code: 'no_room' } });
  expect((await reserved()).map(({ containerId }) => containerId)).toEqual(['elsewhere']);
});

test('after kill -9 amid starts, and after Redis lost the reservations, exactly the running containers hold some', async () => {
  const room = { HOST_MEMORY_MB: '4000' };
  const first = fleet.process('a', room);
  const up = await fleet.startDesktop();
  await reached(fleet, up, 'completed');
  const interrupted = await fleet.startDesktop();
  await waitFor('the placement', async () => (await fleet.container(interrupted))?.state === 'starting');
  await killed(first);
  const worker = await fleet.worker('a', room);
  await reached(fleet, interrupted, 'completed', 25_000);
  await sweptTo(worker, [up.containerId, interrupted.containerId]);

  const machine = await machineName();
  await fleet.queueRedis.client.del(keys.reservations(machine));
  await sweptTo(worker, [up.containerId, interrupted.containerId]);

  const left = { containerId: 'left', host: 'a', at: Date.now() - 60_000 };
  const vector = { memoryMb: 100, cpus: 1, diskMb: 0, gpus: 0, containers: 1 };
  const reservation = { ...left, vector, gpuIds: [] };
  await new Reservations(fleet.queueRedis.client).keep({ machine, instance: 'left', reservation });
  await sweptTo(worker, [up.containerId, interrupted.containerId]);
  for (const start of [up, interrupted]) await reached(fleet, await fleet.stopDesktop(start), 'completed');
  expect(await reserved()).toEqual([]);
}, 90_000);

test('a lost host holds no reservations', async () => {
  const first = fleet.process('a', { LOST_AFTER_MS: '4000' });
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  await waitFor('the host to publish', async () => (await machineOf('a')) !== undefined);
  await killed(first);
  await fleet.worker('b', { LOST_AFTER_MS: '4000' });
  await waitFor('the reservation to end', async () => (await reserved()).length === 0, 25_000);
  expect(await fleet.container(start)).toMatchObject({ state: 'lost' });
}, 60_000);
