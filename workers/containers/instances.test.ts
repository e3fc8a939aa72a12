import { keys } from '@warmwind/shared/engine/keys';
import { readContainer } from '@warmwind/shared/engine/ledger/reads';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createMetrics } from '../metrics.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';
import { Engine } from './engine.ts';
import { UIDS } from './reservations.ts';
import { createOptions, type Instance, instanceName, LABELS } from './spec.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

/** Runs an engine container on host `a` without a supervisor and some of the labels of this release. */
async function createWithout(instance: Instance, ...without: string[]): Promise<string> {
  const [width, height, memoryMb, cpus, gpus, ttlSeconds] = [800, 600, 256, 1, 0, 600];
  const spec = { image: fleet.image, width, height, memoryMb, cpus, gpus, ttlSeconds, env: {} };
  const gid = process.getgid?.() ?? 0;
  const identity = { uid: UIDS.first, gid, seccomp: true, supervised: false };
  const place = { fleet: fleet.fleet, host: 'a', ...instance };
  const options = createOptions({ ...spec, network: 'none' }, place, identity);
  const { VolumeOptions } = options.HostConfig?.Mounts?.find(({ Target }) => Target === '/run/rfb') ?? {};
  for (const label of without) {
    delete options.Labels?.[label];
    delete VolumeOptions?.Labels?.[label];
  }
  const container = await fleet.docker.createContainer(options);
  await container.start();
  return container.id;
}

/** Records in Redis and the ledger that a requested container runs on host `a` as this instance. */
async function runsAs(start: Submitted, { instanceId, fence }: Instance): Promise<void> {
  const { userId, containerId, jobId } = start;
  const placed = { state: 'running' as const, host: 'a', boot: 'before', fence };
  const until = Date.now() + 600_000;
  const { client } = fleet.queueRedis;
  await client.hset(keys.container(userId, containerId), {
    ...placed,
    startedAt: Date.now(),
    expiresAt: until,
    ...(instanceId ? { instanceId } : {}),
  });
  await client.sadd(keys.hostContainers('a'), `${userId}/${containerId}`);
  await client.hset(keys.job(userId, jobId), { state: 'completed', finishedAt: Date.now() });
  await fleet.queue('containers').remove(jobId);
  const { sql } = fleet.postgres;
  const row = { ...placed, started_at: new Date(), expires_at: new Date(until), instance_id: instanceId };
  await sql`update containers set ${sql(row)} where id = ${containerId}`;
}
/** Creates an instance as host `a` does. */
function createOnA(instance: Instance): Promise<string> {
  const engine = new Engine({
    socketPath: fleet.env('a').DOCKER_SOCKET,
    fleet: fleet.fleet,
    host: 'a',
    egressNetwork: undefined,
    capacity: { memoryMb: 1000, desktops: 10 },
    metrics: createMetrics(new Registry(), async () => {}),
    log: createLog('test'),
  });
  const spec = { image: fleet.image, width: 800, height: 600, memoryMb: 256, cpus: 1, gpus: 0 };
  return engine.create(instance, { ...spec, ttlSeconds: 600, env: {}, network: 'none' });
}
const engineIds = async () => (await fleet.containers()).map(({ Id }) => Id);

test('the name, volume and labels of an engine container follow its instance id, which its record names', async () => {
  await fleet.worker('a');
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  const { userId, containerId } = start;
  const instanceId = await fleet.queueRedis.client.hget(keys.container(userId, containerId), 'instanceId');
  expect(instanceId).toMatch(/^[0-9a-f-]{36}$/);
  expect(instanceId).not.toBe(containerId);
  const name = instanceName(fleet.fleet, 'a', instanceId ?? '');
  const [found] = await fleet.containers();
  expect(found).toMatchObject({ Names: [`/${name}`], Labels: { [LABELS.instance]: instanceId } });
  expect(await fleet.socketVolumes()).toEqual([name]);
  await waitFor('the ledger to know', async () => {
    const row = await fleet.ledger.run((db) => readContainer(db, userId, containerId));
    return row?.state === 'running' && row.instanceId === instanceId;
  });
});

test('a container of the previous release is kept, restored after Redis lost its record, stopped and removed', async () => {
  const start = await fleet.startDesktop();
  const { userId, containerId } = start;
  const legacy = { containerId, instanceId: '', fence: 3 };
  const id = await createWithout({ ...legacy, instanceId: containerId }, LABELS.instance);
  await runsAs(start, legacy);
  const worker = await fleet.worker('a');
  await worker.sweep();
  expect(await engineIds()).toEqual([id]);
  expect(await fleet.container(start)).toMatchObject({ state: 'running' });

  await fleet.queueRedis.client.del(keys.container(userId, containerId), keys.hostContainers('a'));
  await worker.sweep();
  expect(await engineIds()).toEqual([id]);
  expect(await fleet.container(start)).toMatchObject({ state: 'running' });

  await reached(fleet, await fleet.stopDesktop(start), 'completed');
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
  expect(await fleet.containers()).toEqual([]);
  expect(await fleet.volumes()).toEqual([]);
});

test('a container of the previous release is swept when its record holds a later placement', async () => {
  const start = await fleet.startDesktop();
  const { containerId } = start;
  await createWithout({ containerId, instanceId: containerId, fence: 1 }, LABELS.instance);
  const kept = { containerId, instanceId: 'i2', fence: 2 };
  const id = await createWithout(kept);
  await runsAs(start, kept);
  const worker = await fleet.worker('a');
  await worker.sweep();
  expect(await engineIds()).toEqual([id]);
  expect(await fleet.socketVolumes()).toEqual([instanceName(fleet.fleet, 'a', 'i2')]);
  expect(await fleet.container(start)).toMatchObject({ state: 'running' });
});

test('an instance without container labels is kept for the record that names it, and swept when none does', async () => {
  const start = await fleet.startDesktop();
  const given = { containerId: start.containerId, instanceId: 'warm-1', fence: 1 };
  const id = await createWithout(given, LABELS.container, LABELS.fence);
  await createWithout({ ...given, instanceId: 'warm-2' }, LABELS.container, LABELS.fence);
  await runsAs(start, given);
  const worker = await fleet.worker('a');
  await worker.sweep();
  expect(await engineIds()).toEqual([id]);
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
  expect(await fleet.containers()).toEqual([]);
  expect(await fleet.volumes()).toEqual([]);
});

test('creating an instance first removes those of lost placements of the same container', async () => {
  const [old, other] = [
    { instanceId: 'i1', fence: 1 },
    { instanceId: 'i3', fence: 1 },
  ];
  await createWithout({ containerId: 'c1', ...old });
  const kept = await createWithout({ containerId: 'c2', ...other });
  const id = await createOnA({ containerId: 'c1', instanceId: 'i2', fence: 1 });
  expect((await engineIds()).sort()).toEqual([id, kept].sort());
  const names = await fleet.socketVolumes();
  expect(names.sort()).toEqual(['i2', 'i3'].map((instance) => instanceName(fleet.fleet, 'a', instance)));
});

test('a name that is taken on the engine fails the start, and its owner stays', async () => {
  const instance = { containerId: 'c1', instanceId: 'i1', fence: 1 };
  const labels = { [LABELS.fleet]: fleet.fleet, [LABELS.host]: 'other' };
  const name = instanceName(fleet.fleet, 'a', 'i1');
  const foreign = await fleet.docker.createContainer({ name, Image: fleet.image, Labels: labels });
  await expect(createOnA(instance)).rejects.toMatchObject({ code: 'name_taken' });
  expect((await foreign.inspect()).Id).toBe(foreign.id);
});
