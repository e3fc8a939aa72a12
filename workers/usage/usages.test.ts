import { ContainerMetrics } from '@warmwind/shared/contract/commands/container-metrics';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import type { Call } from '../calls/call.ts';
import { createMetricsCall } from '../commands/container-metrics.ts';
import type { Supervised } from '../supervisor/supervisors.ts';
import { startTestDesktop, type TestDesktop } from '../testing/desktop.ts';
import { createUsageMetrics } from './metrics.ts';
import { usageFromStats } from './stats.ts';
import { Usages } from './usages.ts';

const MIB = 2 ** 20;
let desktop: TestDesktop;
let engineCalls = 0;
let supervisorCalls = 0;
let running: Supervised[] = [];

beforeAll(async () => {
  desktop = await startTestDesktop();
  running = [{ containerId: 'c', engineId: desktop.container.id, isPaused: false }];
}, ENGINE_WITHIN_MS);
afterAll(() => desktop?.remove());

/** A host with the desktop as its one container. */
function host() {
  engineCalls = 0;
  supervisorCalls = 0;
  const usages = new Usages({
    supervisors: {
      list: () => running,
      of: () => {
        supervisorCalls += 1;
        return desktop.supervisor;
      },
    },
    engine: {
      usageOf: async () => {
        engineCalls += 1;
        return usageFromStats(await desktop.container.stats({ stream: false, 'one-shot': true }));
      },
    },
    log: createLog('test'),
  });
  const handle = createMetricsCall(usages);
  const measure = async (containerId = 'c') =>
    ContainerMetrics.parse(
      await handle({
        containerId,
        input: {},
        signal: AbortSignal.timeout(9000),
        log: createLog('test'),
      } as Call<Record<string, never>>),
    );
  return { usages, measure };
}

test('the metrics of a desktop show its CPUs, memory, home, processes and threads, without the engine', async () => {
  const { measure } = host();
  const before = await measure();
  expect(before).toMatchObject({
    memory: { limitBytes: 512 * MIB },
    home: { limitBytes: 128 * MIB },
    network: { receivedBytes: 0, sentBytes: 0 },
  });
  const { id } = await desktop.supervisor.start('busy', {
    cmd: [
      'perl',
      '-e',
      '$x = "a" x (64 << 20); open F, ">big"; print F "b" x (32 << 20); close F; fork; 1 while 1',
    ],
  });
  const busy = await waitFor('its use', async () => {
    const now = await measure();
    return (now.cpuPercent ?? 0) > 20 && (now.home?.usedBytes ?? 0) >= 32 * MIB ? now : undefined;
  });
  await desktop.supervisor.end(id);
  expect(busy.cpuSeconds).toBeGreaterThan(before.cpuSeconds);
  expect(busy.memory.usedBytes - before.memory.usedBytes).toBeGreaterThan(64 * MIB);
  expect((busy.home?.usedBytes ?? 0) - (before.home?.usedBytes ?? 0)).toBeGreaterThanOrEqual(32 * MIB);
  expect(busy.threads).toBeGreaterThanOrEqual(busy.processes ?? 0);
  expect(busy.processes ?? 0).toBeGreaterThan((before.processes ?? 0) + 1);
  expect(engineCalls).toBe(0);
});

test('requests that arrive together share the measurements', async () => {
  const { measure } = host();
  const all = await Promise.all(Array.from({ length: 50 }, () => measure()));
  expect(new Set(all.map(({ measuredAt }) => measuredAt)).size).toBe(1);
  expect(supervisorCalls).toBe(2);
});

test.each([
  [true, 0],
  [false, 1],
])(
  'a paused desktop is measured by the engine, also when this process does not know it: %j',
  async (isPaused, asked) => {
    running = running.map((one) => ({ ...one, isPaused }));
    const { measure } = host();
    await desktop.container.pause();
    try {
      const paused = await measure();
      expect(paused).toMatchObject({ memory: { limitBytes: 512 * MIB }, cpuSeconds: expect.any(Number) });
      expect(paused.threads).toBeGreaterThan(5);
      expect(paused.home).toBeUndefined();
      expect(engineCalls).toBe(1);
      expect(supervisorCalls).toBe(asked);
    } finally {
      await desktop.container.unpause();
    }
  },
);

test('a container that does not run here is refused', async () => {
  await expect(host().measure('other')).rejects.toMatchObject({ code: 'unavailable' });
});

test('the series of a container are there while it runs, and gone after it', async () => {
  const registry = new Registry();
  createUsageMetrics(registry, host().usages);
  const shown = await registry.metrics();
  expect(supervisorCalls).toBe(1);
  for (const series of [
    'warmwind_container_cpu_seconds_total{container="c"}',
    'warmwind_container_memory_bytes{container="c",what="used"}',
    'warmwind_container_memory_bytes{container="c",what="limit"} 536870912',
    'warmwind_container_home_bytes{container="c",what="limit"} 134217728',
    'warmwind_container_network_bytes_total{container="c",direction="received"} 0',
    'warmwind_container_tasks{container="c",what="processes"}',
  ])
    expect(shown).toContain(series);
  running = [];
  expect(await registry.metrics()).not.toContain('container="c"');
});
