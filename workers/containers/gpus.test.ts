import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import type { ContainerRecord } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../../infra/quality/testing/docker.ts';
import { createMetrics } from '../metrics.ts';
import type { JobContext } from '../runtime/delivery.ts';
import { RequeueError } from '../runtime/outcome.ts';
import { startAdmission } from '../testing/admission.ts';
import { Engine } from './engine.ts';
import { NoRoomError } from './reservations.ts';
import type { Instance } from './spec.ts';

let real: Awaited<ReturnType<typeof startEngine>>;
let engine: Engine;
const made: Instance[] = [];
beforeAll(async () => {
  real = await startEngine();
  engine = new Engine({
    socketPath: real.socket,
    fleet: `t-${newId().slice(0, 8)}`,
    host: 'a',
    egressNetwork: undefined,
    capacity: { memoryMb: 10_000, desktops: 10 },
    metrics: createMetrics(new Registry(), async () => {}),
    log: createLog('test'),
  });
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  for (const instance of made) await engine.removeInstance(instance);
});

/** Creates a container with these GPUs on the engine, which needs no such devices for that. */
async function create(gpuIds: string[]): Promise<string> {
  const instance = { containerId: newId(), instanceId: newId(), fence: 1 };
  made.push(instance);
  const size = { width: 320, height: 240, memoryMb: 128, cpus: 0.1, gpus: gpuIds.length };
  const spec = { ...size, image: real.image, ttlSeconds: 600, env: {}, network: 'none' as const };
  return engine.create(instance, spec, gpuIds);
}
const deviceOf = (name: string) => `GPU-${name}-${newId().slice(0, 8)}`;

test('a container is created with exactly its own GPUs, by their ids and never by a count', async () => {
  const [first, second] = [deviceOf('first'), deviceOf('second')];
  const inspected = await real.docker.getContainer(await create([first, second])).inspect();
  const requests = inspected.HostConfig.DeviceRequests ?? [];
  expect(requests).toHaveLength(1);
  expect(requests[0]).toMatchObject({
    Driver: 'nvidia',
    DeviceIDs: [first, second],
    Capabilities: [['gpu']],
    Count: 0,
  });
  expect(inspected.Config.Env).toContain(`NVIDIA_VISIBLE_DEVICES=${first},${second}`);
  expect((await engine.list()).containers.flatMap(({ gpuIds }) => gpuIds)).toEqual([first, second]);
});

test('a container without GPUs is created without a request for any, whatever its image names', async () => {
  const inspected = await real.docker.getContainer(await create([])).inspect();
  expect(inspected.HostConfig.DeviceRequests ?? []).toEqual([]);
  const named = inspected.Config.Env.filter((text) => text.startsWith('NVIDIA_VISIBLE_DEVICES='));
  expect(named).toEqual(['NVIDIA_VISIBLE_DEVICES=void']);
});

test('a GPU of a container on the engine is not given again, whatever Redis has lost', async () => {
  const taken = deviceOf('taken');
  await create([taken]);
  const error = await create([deviceOf('free'), taken]).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(NoRoomError);
  expect(error).toMatchObject({ resource: 'gpus' });
});

const record = (name: string, instanceId = '') => {
  const spec = { image: real.image, memoryMb: 128, cpus: 0.1, gpus: 1 };
  const running = { containerId: name, instanceId, state: 'running', spec: JSON.stringify(spec) };
  return running as ContainerRecord;
};
const job = (jobId: string): JobContext =>
  ({
    data: { userId: 'ada', jobId, run: 1 },
    queuedAt: Date.now(),
    onEnd: () => undefined,
    progress: async () => undefined,
  }) as unknown as JobContext;

test('after Redis lost the reservations, each container has its own GPUs again and no start gets them', async () => {
  const [first, second] = [deviceOf('first'), deviceOf('second')];
  const { redis, admission } = await startAdmission(engine, () => [first, second]);
  try {
    await create([second]);
    const { instanceId = '' } = made.at(-1) ?? {};
    const { containers } = await engine.list();
    await admission.reconcile(
      await admission.reserved(),
      [record('c1', instanceId)],
      containers,
      () => false,
    );
    const { all } = await admission.reserved();
    expect([...all]).toMatchObject([[instanceId, { containerId: 'c1', gpuIds: [second] }]]);
    expect(await admission.reserve(record('c2'), 'i2', job('j2'))).toEqual({ gpuIds: [first] });
    expect(await admission.reserve(record('c3'), 'i3', job('j3'))).toEqual({ lacks: 'gpus' });
  } finally {
    await redis.stop();
  }
});

test('a start with GPUs waits until this host has read its own, and fails only when it has none then', async () => {
  let gpuIds: string[] | undefined;
  const { redis, admission } = await startAdmission(engine, () => gpuIds);
  try {
    await redis.client.zadd(keys.hosts(), Date.now(), 'a');
    expect(await admission.reserve(record('c1'), 'i1', job('j1'))).toEqual({ lacks: 'gpus' });
    expect(await admission.refuse(record('c1'), 'gpus', job('j1'))).toBeInstanceOf(RequeueError);
    gpuIds = [];
    const refusal = await admission.refuse(record('c1'), 'gpus', job('j1'));
    expect(refusal).toMatchObject({ code: 'no_gpu' });
    gpuIds = [deviceOf('read')];
    expect(await admission.reserve(record('c1'), 'i1', job('j1'))).toEqual({ gpuIds });
  } finally {
    await redis.stop();
  }
});

test('an engine that can’t give the GPUs fails the start with a code of its own', async () => {
  const gpuIds = [deviceOf('absent')];
  await expect(engine.start(await create(gpuIds), gpuIds)).rejects.toMatchObject({ code: 'gpu_unavailable' });
});
