import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from '@warmwind/shared/client/client';
import { edgeOf } from '../e2e/client.ts';
import { createStack } from '../e2e/stack.ts';
import { startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { UNLIMITED } from './client.ts';
import { type Figure, median, percentile, report } from './report.ts';

/**
 * Measures files through the complete stack (nginx, edge, relay, worker, supervisor): throughput, the growth of
 * each hop's memory, and the gaps between frames of the same desktop's changing screen alongside it.
 */
const MEGABYTES = Number(process.env.MEGABYTES ?? 64);
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SAMPLE_MS = 50;
const MIB = 2 ** 20;

/** A terminal that paints a line every 50 ms. */
const CLOCK = ['xterm', '-e', 'sh', '-c', 'while :; do date +%N; sleep 0.05; done'];

await startEngine();
const stack = createStack({ ...UNLIMITED, MODEL_SERVER: 'off' });
let met = false;
const sum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Resident memory of a process, MB; 0 when it has ended. */
async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}

/** Samples the memory of the stack's processes until it is stopped. */
async function watchMemory(pids: Record<string, number>) {
  const first: Record<string, number> = {};
  const most: Record<string, number> = {};
  for (const [name, pid] of Object.entries(pids)) most[name] = first[name] = await residentMb(pid);
  const timer = setInterval(async () => {
    for (const [name, pid] of Object.entries(pids)) {
      most[name] = Math.max(most[name] ?? 0, await residentMb(pid));
    }
  }, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    return Object.entries(most).map(([name, mb]) => ({ name, mb: mb - (first[name] ?? 0) }));
  };
}

try {
  await stack.start();
  const file = stack.file();
  const edge = edgeOf(file);
  const { containerId } = await edge.startContainer({ memoryMb: 1024 }, { waitMs: 10_000 });
  const isRunning = async () => (await edge.getContainer(containerId)).state === 'running';
  await waitFor('the desktop', isRunning, 60_000);
  await edge.exec({ containerId, cmd: CLOCK, background: true }, { waitMs: 10_000 });
  const token = async () => (await edge.createTicket({ mode: 'view' })).token;
  const relay = connect({ url: file.relay, token });
  let lastAt = 0;
  let gaps: number[] = [];
  const frame = () => {
    const now = performance.now();
    if (lastAt > 0) gaps.push(now - lastAt);
    lastAt = now;
  };
  relay.watch(containerId, { onKey: frame, onFrame: frame });
  await waitFor('frames', () => gaps.length > 40, 30_000);

  const bytes = randomBytes(MEGABYTES * MIB);
  const expected = sum(bytes);
  const address = { containerId, path: 'bench.bin' };
  const up: number[] = [];
  const down: number[] = [];
  const transfer = async () => {
    const begun = performance.now();
    await edge.writeFile({ ...address, content: bytes });
    const written = performance.now();
    const read = Buffer.from(await (await edge.readFile(address)).arrayBuffer());
    up.push((MEGABYTES * 1000) / (written - begun));

    down.push((MEGABYTES * 1000) / (performance.now() - written));
    // The home has 128 MB: a file is replaced once the new one is complete.
    await edge.deleteFile(address);
    if (sum(read) !== expected) throw new Error('the file came back with another checksum');
  };
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  gaps = [];
  await pause(ROUNDS * 1000);
  const without = percentile(gaps, 95);
  const stop = await watchMemory(file.pids);
  gaps = [];
  for (let round = 0; round < ROUNDS; round++) await transfer();
  const alongside = percentile(gaps, 95);
  const grown = stop();
  relay.close();
  const figures: Figure[] = [
    ...grown.map(({ name, mb }) => ({
      name: `memory of ${name}, growth`,
      value: mb,
      unit: 'MB',
      target: { atMost: 32 },
    })),
    { name: 'gap between frames without transfers, p95', value: without, unit: 'ms' },
    { name: 'gap between frames during transfers, p95', value: alongside, unit: 'ms' },
    { name: `${MEGABYTES} MB to the desktop, p50`, value: median(up), unit: 'MB/s' },
    { name: `${MEGABYTES} MB from the desktop, p50`, value: median(down), unit: 'MB/s' },
  ];
  met = report('files', figures);
} finally {
  await stack.remove();
}
process.exit(met ? 0 : 1);
