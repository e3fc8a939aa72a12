import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { watch } from '../../workers/testing/viewer.ts';
import { startRedis } from '../testing/redis.ts';
import { waitFor } from '../testing/wait.ts';
import { cpuMs, MARKER, type Program, startDesktop } from './desktop.ts';
import { type Figure, median, percentile, report } from './report.ts';
import { startWebsockify, stubViewer } from './websockify.ts';

const SECONDS = Number(process.env.SECONDS ?? 8);
const VIEWERS = (process.env.VIEWERS ?? '1,10,50').split(',').map(Number);

const MAGENTA = Buffer.of(255, 0, 255, 255, 0, 255, 255, 0, 255);

type Desktop = Awaited<ReturnType<typeof startDesktop>>;
/** Of one screen, a second: updates delivered, CPU time in ms, bytes. */
type Cost = { updates: number; cpuMs: number; xvncMs: number; bytes: number };

const redis = await startRedis();
const figures: Figure[] = [];
try {
  await measureLatency();
  for (const program of ['animation', 'text'] as const) await compare(program);
} finally {
  await redis.stop();
}
process.exitCode = report('screen: one stream for all against one connection for each', figures) ? 0 : 1;
// The engine's connections would keep it.
process.exit();

async function onDesktop<T>(programs: Program[], work: (desktop: Desktop) => Promise<T>): Promise<T> {
  const desktop = await startDesktop();
  try {
    for (const program of programs) await desktop.run(program);
    return await work(desktop);
  } finally {
    await desktop.stop();
  }
}

async function bridged<T>(
  { socketPath }: Desktop,
  id: string,
  work: (bridge: ChildProcess) => Promise<T>,
): Promise<T> {
  const bridge = fork(new URL('bridge.ts', import.meta.url), [socketPath, redis.url, id]);
  try {
    await once(bridge, 'message');
    return await work(bridge);
  } finally {
    const gone = once(bridge, 'exit');
    bridge.kill('SIGKILL');
    await gone;
  }
}

/** From the moment that a program writes the time to the frame that shows it. */
async function measureLatency(): Promise<void> {
  await onDesktop(['marker'], (desktop) =>
    bridged(desktop, 'latency', async () => {
      const ages: number[] = [];
      let last: number | undefined;
      const viewer = await watch(redis.url, 'latency', (at, canvas) => {
        const shown = readMarker(canvas.rgb, canvas.width);
        if (shown === undefined || shown === last) return;
        ages.push((Math.floor(at) - shown) & 0xffffff);
        last = shown;
      });
      await viewer.say({ t: 'key' });
      await waitFor('frames', () => ages.length > 20 * SECONDS, SECONDS * 3000);
      await viewer.stop();
      const fresh = ages.slice(10);
      figures.push(
        { name: 'X change → frame on the channel, p50', value: median(fresh), unit: 'ms' },
        { name: 'X change → frame on the channel, p95', value: percentile(fresh, 95), unit: 'ms' },
      );
    }),
  );
}

/** `undefined` while there is none. */
function readMarker(rgb: Buffer, width: number): number | undefined {
  const { bits, cell } = MARKER;
  const corner = rgb.indexOf(MAGENTA);
  if (corner < 0) return undefined;
  const middle = corner + (Math.floor(cell.h / 2) * width + Math.floor(cell.w / 2)) * 3;
  let value = 0;
  for (let bit = 1; bit <= bits; bit++)
    value = (value << 1) | ((rgb[middle + bit * cell.w * 3] ?? 0) > 127 ? 1 : 0);
  return value;
}

async function compare(program: Program): Promise<void> {
  const ours = await onDesktop([program], (desktop) =>
    bridged(desktop, program, async (bridge) => {
      const viewer = await watch(redis.url, program, () => undefined, false);
      await viewer.say({ t: 'key' });
      await waitFor('frames', () => viewer.seen.frames > 10, 30_000);
      return measure(
        () => ({ updates: viewer.seen.frames, bytes: viewer.seen.bytes }),
        () => cpuMs(bridge.pid ?? 0),
        desktop,
      ).finally(() => viewer.stop());
    }),
  );
  told(`${program}, our bridge, one node`, ours);
  const theirs = new Map<number, Cost>();
  for (const viewers of VIEWERS) {
    const cost = await onDesktop([program], async (desktop) => {
      const websockify = await startWebsockify(desktop.socketPath);
      const stubs = Array.from({ length: viewers }, () => stubViewer(websockify.url));
      try {
        await waitFor('frames', () => stubs.every((stub) => stub.updates() > 3), 30_000);
        const sum = (of: (stub: (typeof stubs)[0]) => number) =>
          stubs.reduce((all, stub) => all + of(stub), 0);
        return await measure(
          () => ({ updates: sum((stub) => stub.updates()), bytes: sum((stub) => stub.bytes()) }),
          websockify.cpuMs,
          desktop,
        );
      } finally {
        for (const stub of stubs) stub.stop();
        await websockify.stop();
      }
    });
    theirs.set(viewers, cost);
    told(`${program}, websockify, ${viewers} viewers`, cost);
  }
  for (const [viewers, cost] of theirs) {
    figures.push({
      name: `${program}, ${viewers} viewers: CPU, ours without the relay / theirs`,
      value: (ours.cpuMs + ours.xvncMs) / (cost.cpuMs + cost.xvncMs),
      unit: '',
    });
  }
}

function told(name: string, { updates, cpuMs, xvncMs, bytes }: Cost): void {
  figures.push(
    { name: `${name}: updates delivered`, value: updates, unit: '/s' },
    { name: `${name}: CPU`, value: cpuMs, unit: 'ms/s' },
    { name: `${name}: CPU of Xvnc`, value: xvncMs, unit: 'ms/s' },
    { name: `${name}: sent`, value: bytes / 1024, unit: 'KiB/s' },
  );
}

async function measure(
  delivered: () => { updates: number; bytes: number },
  cpu: () => Promise<number>,
  desktop: Desktop,
): Promise<Cost> {
  const before = { ...delivered(), cpu: await cpu(), xvnc: await desktop.cpuMs() };
  const since = performance.now();
  await sleep(SECONDS * 1000);
  const after = { ...delivered(), cpu: await cpu(), xvnc: await desktop.cpuMs() };
  const seconds = (performance.now() - since) / 1000;
  return {
    updates: (after.updates - before.updates) / seconds,
    cpuMs: (after.cpu - before.cpu) / seconds,
    xvncMs: (after.xvnc - before.xvnc) / seconds,
    bytes: (after.bytes - before.bytes) / seconds,
  };
}
