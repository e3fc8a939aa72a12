import { newId } from '@warmwind/shared/contract/ids';
import type { ResourceVector } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../../infra/quality/testing/docker.ts';
import { Engine } from '../containers/engine.ts';
import { createMetrics } from '../metrics.ts';
import { pooledSpec } from '../pool/fit.ts';
import { startAdmission } from '../testing/admission.ts';

const GPU = 'GPU-1';
let image: string;
let machine: string;
let parts: Awaited<ReturnType<typeof startAdmission>>;
beforeAll(async () => {
  const real = await startEngine();
  image = real.image;
  const engine = new Engine({
    socketPath: real.socket,
    fleet: `t-${newId().slice(0, 8)}`,
    host: 'a',
    egressNetwork: undefined,
    capacity: { memoryMb: 10_000, desktops: 10 },
    metrics: createMetrics(new Registry(), async () => {}),
    log: createLog('test'),
  });
  machine = await engine.findMachine();
  parts = await startAdmission(engine, () => [GPU]);
}, ENGINE_WITHIN_MS);
beforeEach(() => parts.redis.client.flushall());
afterAll(() => parts?.redis.stop());

const vector = (more: Partial<ResourceVector>): ResourceVector => ({
  memoryMb: 128,
  cpus: 0.1,
  diskMb: 0,
  gpus: 0,
  containers: 1,
  ...more,
});
const ref = (jobId: string) => ({ userId: 'ada', jobId, run: 1 });
/** Lets a start wait. */
const wait = (jobId: string, more: Partial<ResourceVector>) =>
  parts.waiting.add({
    ...ref(jobId),
    vector: vector(more),
    image,
    reason: 'memory',
    queuedAt: Date.now(),
    seenAt: Date.now(),
  });
/** Reserves for a container that runs. */
const use = (more: Partial<ResourceVector>, gpuIds: string[] = []) => {
  const reservation = { containerId: newId(), host: 'a', vector: vector(more), at: Date.now(), gpuIds };
  return parts.reservations.keep({ machine, instance: newId(), reservation });
};
const deferral = (jobId: string) =>
  parts.admission.deferral({ ...ref(jobId), requestId: 'r' } as never, Date.now());

test('a start whose turn can’t be decided waits on, and spends no attempt', async () => {
  await wait('j1', {});
  expect(await deferral('j1')).toBeUndefined();
  await parts.redis.client.set(keys.reservations(machine), 'of another type');
  expect(await deferral('j1')).toBeGreaterThan(0);
});

test('a reservation that is unreadable counts nothing and stops no start', async () => {
  await use({ memoryMb: 500 });
  const unreadable = { i1: '{', i2: '{"containerId":"c"}', i3: '{"vector":{"memoryMb":"many"}}', i4: '4' };
  await parts.redis.client.hset(keys.reservations(machine), unreadable);
  await wait('j1', {});
  expect(await deferral('j1')).toBeUndefined();
  expect((await parts.admission.reserved()).all.size).toBe(1);
  const record = { containerId: 'c1', spec: JSON.stringify({ image, memoryMb: 128, cpus: 0.1 }) };
  const job = { data: ref('j1'), queuedAt: Date.now() };
  expect(await parts.admission.reserve(record as never, 'i9', job as never)).toEqual({ gpuIds: [] });
});

test('the warm pool gives way to starts that lack what its instances have, and to no others', async () => {
  const { admission } = parts;
  const refill = () => admission.reservePooled(newId(), pooledSpec(image));
  await use({ gpus: 1 }, [GPU]);
  await wait('no host is large enough', { memoryMb: 9000 });
  await wait('lacks a GPU', { gpus: 1 });
  expect(await admission.startsWait()).toBe(false);
  expect(await refill()).toBe(true);
  await use({ memoryMb: 3000 });
  await wait('lacks memory', { memoryMb: 1000 });
  expect(await admission.startsWait()).toBe(true);
  expect(await refill()).toBe(false);
});
