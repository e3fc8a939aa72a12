import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { Registry } from 'prom-client';
import { afterEach, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createMetrics } from '../metrics.ts';
import { Gpus, parseGpus } from './nvidia.ts';

/** Creates a substitute for the vendor's program, which only runs on the vendor's hardware. */
const standIn = (output: string): string => {
  const dir = mkdtempSync(join(tmpdir(), 'nvidia-'));
  writeFileSync(join(dir, 'nvidia-smi'), `#!/bin/sh\n${output}\n`);
  chmodSync(join(dir, 'nvidia-smi'), 0o755);
  return dir;
};
const LINE = 'GPU-8f2c7a10-52d1-11ee-be56-0242ac120002';
const log = createLog('test');
log.level = 'silent';
const { PATH } = process.env;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  process.env.PATH = PATH;
  for (const close of closing.splice(0)) await close();
});

const watch = (path: string) => {
  process.env.PATH = path;
  const registry = new Registry();
  const gpus = new Gpus(
    log,
    createMetrics(registry, async () => {}),
  );
  closing.push(() => gpus.close());
  expect(gpus.wereRead).toBe(false);
  gpus.start();
  return { gpus, registry };
};

test('the fields of GPUs are read and exported as metrics', async () => {
  const dir =
    standIn(`[ "$1" = --query-gpu=index,uuid,temperature.gpu,memory.used,memory.total,utilization.gpu ] || exit 1
echo '0, ${LINE}, 41, 1024, 24564, 87'
echo '1, ${LINE}, [N/A], 0, 24564, [Not Supported]'`);
  closing.push(() => rmSync(dir, { recursive: true }));
  const { gpus, registry } = watch(`${dir}:${PATH}`);
  expect(gpus.wereRead).toBe(false);
  await waitFor('both', () => gpus.wereRead);
  expect(gpus.all).toEqual([
    {
      index: 0,
      uuid: LINE,
      temperatureC: 41,
      memoryUsedMb: 1024,
      memoryTotalMb: 24564,
      utilizationPercent: 87,
    },
    { index: 1, uuid: LINE, memoryUsedMb: 0, memoryTotalMb: 24564 },
  ]);
  const text = await registry.metrics();
  expect(text).toContain('warmwind_gpu_temperature_celsius{gpu="0"} 41');
  expect(text).not.toContain('warmwind_gpu_temperature_celsius{gpu="1"}');
  expect(text).toContain('warmwind_gpu_memory_bytes{gpu="0",what="used"} 1073741824');
  expect(text).toContain('warmwind_gpu_utilization{gpu="0"} 0.87');
});

test('without nvidia-smi there are no GPUs', async () => {
  const { gpus } = watch('/nonexistent');
  await waitFor('the attempt', () => gpus.wereRead);
  expect(gpus.all).toEqual([]);
});

test('an endless answer of nvidia-smi yields no GPUs', async () => {
  const dir = standIn(`while :; do echo '0, ${LINE}, 41, 1024, 24564, 87'; done`);
  closing.push(() => rmSync(dir, { recursive: true }));
  const { gpus, registry } = watch(`${dir}:${PATH}`);
  await gpus.close();
  expect(gpus.all).toEqual([]);
  expect(await registry.metrics()).not.toContain('warmwind_gpu_temperature_celsius{');
});

test('malformed lines are left out, and impossible values are undefined', () => {
  const garbled = [
    'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.',
    '',
    'a, b, c',
    `0, ${LINE}`,
    `-1, ${LINE}, 1, 1, 1, 1`,
    `9999, ${LINE}, 1, 1, 1, 1`,
    '2, GPU"} 1\nevil 1, 1, 1, 1, 1',
    `3, ${LINE}, 99999, 1e9, -5, 1000, 7, 8`,
    `4, ${LINE}, NaN, Infinity, 0x10, 5`,
    ',,,,,',
    '\u0000'.repeat(10_000),
  ].join('\n');
  expect(parseGpus(garbled)).toEqual([
    { index: 0, uuid: LINE },
    { index: 3, uuid: LINE },
    { index: 4, uuid: LINE, utilizationPercent: 5 },
  ]);
  expect(parseGpus(`0, ${LINE}, 1, 1, 1, 1\n`.repeat(1000))).toHaveLength(64);
});
