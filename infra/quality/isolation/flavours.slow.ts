import { newId } from '@warmwind/shared/contract/ids';
import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createOptions, LABELS, RFB_DIRECTORY, SUPERVISOR_SOCKET } from '../../../workers/containers/spec.ts';
import { Supervisor } from '../../../workers/supervisor/client.ts';
import { createFleet, type Fleet, reached, type Worker } from '../../../workers/testing/fleet.ts';
import { deriveImage } from '../../../workers/testing/image.ts';
import { filledPool, POOLED, withPool } from '../../../workers/testing/pool.ts';
import type { Submitted } from '../../../workers/testing/submissions.ts';
import { ensureDesktopImage } from '../../images/desktop/build.ts';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { expectRefused } from './attempts.ts';
import { audit } from './audit.ts';
import { ESCAPES, EXCESSES } from './escapes.ts';
import { processesOf } from './processes.ts';

let fleet: Fleet;
let worker: Worker;
beforeAll(async () => {
  fleet = await createFleet();
  worker = await fleet.worker('a', { ...withPool(fleet), HOST_MEMORY_MB: '32768' });
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

type Spec = NonNullable<Parameters<Fleet['startDesktop']>[0]>;
type Desktop = { start: Submitted; container: Docker.Container; supervisor: Supervisor; uid: number };

async function started(spec: Spec): Promise<Desktop> {
  const start = await fleet.startDesktop(spec);
  await reached(fleet, start, 'completed', 60_000);
  onTestFinished(async () => {
    await reached(fleet, await fleet.stopDesktop(start), 'completed');
  });
  const container = fleet.docker.getContainer(await fleet.instance(start));
  const { Config, Mounts } = await container.inspect();
  const folder = Mounts.find(({ Destination }) => Destination === RFB_DIRECTORY)?.Source;
  const supervisor = new Supervisor(async () => `${folder}/${SUPERVISOR_SOCKET}`);
  return { start, container, supervisor, uid: Number(Config.Labels[LABELS.uid]) };
}

/** A start with an environment is never served from the pool. */
const COLD = { env: { COLD: '1' } };

const FLAVOURS: [string, Spec, { isWarm?: true; excesses?: true }][] = [
  ['cold', { ...COLD, memoryMb: 512, cpus: 1 }, { excesses: true }],
  [
    'cold, large and with an environment',
    { env: { A: 'x'.repeat(4096), B: '\n' }, memoryMb: 16_384, cpus: 2, width: 3840, height: 2160 },
    {},
  ],
  ['cold and small', { ...COLD, memoryMb: 128, cpus: 0.5, width: 320, height: 240 }, {}],
  ['warm', POOLED, { isWarm: true, excesses: true }],
  ['warm, resized', { ...POOLED, width: 1600, height: 900 }, { isWarm: true }],
  [
    'warm, with more memory and CPUs',
    { ...POOLED, memoryMb: 1024, cpus: 2 },
    { isWarm: true, excesses: true },
  ],
  ['warm, with less memory and CPUs', { ...POOLED, memoryMb: 256, cpus: 0.5 }, { isWarm: true }],
];

test.each(FLAVOURS)(
  'a desktop that is %s is isolated',
  async (_, spec, { isWarm, excesses }) => {
    await filledPool(fleet, worker);
    const { start, container, supervisor, uid } = await started(spec);
    expect((await fleet.container(start))?.warm ?? false).toBe(isWarm ?? false);
    const expected = { uid, memoryMb: spec.memoryMb ?? 0, cpus: spec.cpus ?? 0 };
    await audit(container, expected);
    await expectRefused(supervisor, [...ESCAPES, ...(excesses ? EXCESSES : [])]);
    await audit(container, expected);
  },
  120_000,
);

test('a desktop is isolated while it is paused, and after it was resumed', async () => {
  const { start, container, supervisor, uid } = await started({ ...COLD, memoryMb: 512, cpus: 1 });
  const expected = { uid, memoryMb: 512, cpus: 1 };
  await reached(fleet, await fleet.pauseDesktop(start), 'completed');
  await audit(container, expected);
  await reached(fleet, await fleet.resumeDesktop(start), 'completed');
  await audit(container, expected);
  await expectRefused(supervisor, [...ESCAPES, ...EXCESSES]);
}, 120_000);

test('a desktop of an image without a supervisor is isolated', async () => {
  const { image, remove } = await deriveImage(fleet, { entryPoint: ['/usr/local/bin/desktop'] });
  onTestFinished(remove);
  const { container, uid } = await started({ ...COLD, image, memoryMb: 256, cpus: 1 });
  await audit(container, { uid, memoryMb: 256, cpus: 1, supervised: false });
}, 120_000);

test(
  'Chromium runs without a sandbox of its own: its processes have the rights of any other, and no more',
  async () => {
    const { socket } = await startEngine();
    const { exact: image } = await ensureDesktopImage({ socket, flavour: 'desktop-browser' });
    const { container, supervisor, uid } = await started({ ...COLD, image, memoryMb: 1024, cpus: 2 });
    await supervisor.start(newId(), { cmd: ['chromium', 'about:blank'], background: true });
    const running = async () => (await processesOf(container)).filter(({ name }) => name === 'chromium');
    const browser = await waitFor('its renderer', async () => {
      const list = await supervisor.start(newId(), {
        cmd: ['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "'],
      });
      const { body } = await supervisor.output(list.id, 'stdout');
      const commands = (await body.toArray()).join('');
      return commands.includes('--type=renderer') ? commands : undefined;
    });
    expect(browser).toContain('--no-sandbox');
    expect((await running()).length).toBeGreaterThan(3);
    // One filter and no namespaces of its own: those of the container.
    for (const { status } of await running()) expect(status.Seccomp_filters).toBe('1');
    await audit(container, { uid, memoryMb: 1024, cpus: 2 });
    await expectRefused(supervisor, ESCAPES);
  },
  ENGINE_WITHIN_MS,
);

test('options differ by nothing but what a start may choose', () => {
  const place = { fleet: 'f', host: 'h', containerId: 'c', instanceId: 'i', fence: 1 };
  const identity = { uid: 1_900_000_001, gid: 0, seccomp: true, supervised: true };
  const spec = {
    image: 'i',
    width: 800,
    height: 600,
    ttlSeconds: 60,
    gpus: 0,
    env: {},
    network: 'none',
  } as const;
  type More = { memoryMb: number; cpus: number; env?: Record<string, string> };
  const of = (more: More, gpuIds: string[] = []) => {
    const { HostConfig } = createOptions({ ...spec, ...more }, place, identity, { gpuIds });
    const { Memory, MemorySwap, NanoCpus, ...rest } = HostConfig ?? {};
    expect([Memory, MemorySwap, NanoCpus]).toEqual([
      more.memoryMb * 2 ** 20,
      more.memoryMb * 2 ** 20,
      more.cpus * 1e9,
    ]);
    return { ...rest, Mounts: rest.Mounts?.map(({ Target, Type }) => [Type, Target]) };
  };
  expect(of({ memoryMb: 16_384, cpus: 16, env: { A: 'b' } })).toEqual(of({ memoryMb: 128, cpus: 0.5 }));
  // A GPU is a request for that device, and nothing else: no engine of a test has one to give.
  const gpu = { Driver: 'nvidia', DeviceIDs: ['GPU-1'], Capabilities: [['gpu']] };
  const plain = of({ memoryMb: 512, cpus: 1 });
  expect(of({ memoryMb: 512, cpus: 1 }, ['GPU-1'])).toEqual({ ...plain, DeviceRequests: [gpu] });
});
