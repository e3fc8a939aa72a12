import { newId } from '@warmwind/shared/contract/ids';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../../infra/quality/testing/docker.ts';
import { createMetrics } from '../metrics.ts';
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

test('an engine that can’t give the GPUs fails the start with a code of its own', async () => {
  const gpuIds = [deviceOf('absent')];
  await expect(engine.start(await create(gpuIds), gpuIds)).rejects.toMatchObject({ code: 'gpu_unavailable' });
});
