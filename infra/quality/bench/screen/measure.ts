import { setTimeout as sleep } from 'node:timers/promises';
import { median, percentile } from '../report.ts';
import { gather, type Side } from './crowd.ts';
import type { Desktop } from './desktop.ts';

/** Before counting: new connections are over, the stream has its pace. */
const WARM_UP_MS = 3000;

/** CPU: of all viewers together, ms a second. */
export type Cost = {
  viewers: number;
  /** Changes of the marker that one viewer saw a second: the updates that all count as delivered. */
  fps: number;
  /** FramebufferUpdates, and KiB, that one viewer was sent a second. */
  updates: number;
  kib: number;
  /** From the time drawn to the viewer's socket, ms. */
  p50: number;
  p95: number;
  cpu: Record<string, number>;
  xvnc: number;
};

export const cpuOf = ({ cpu }: Cost): number => Object.values(cpu).reduce((sum, ms) => sum + ms, 0);
/** CPU time of one change of the marker at one viewer, µs. @param more that is counted as well, ms a second */
export const perUpdate = (cost: Cost, more = 0): number =>
  ((cpuOf(cost) + more) * 1000) / (cost.fps * cost.viewers);

/** So many viewers of one side, for so long. */
export async function measure(side: Side, desktop: Desktop, viewers: number, seconds: number): Promise<Cost> {
  const crowd = await gather(side, desktop.corner, viewers);
  try {
    await sleep(WARM_UP_MS);
    const usage = async () => ({ side: await side.cpuMs(), xvnc: await desktop.cpuMs() });
    const [before] = [await usage(), await crowd.reset()];
    const since = performance.now();
    await sleep(seconds * 1000);
    const [seen, after] = [await crowd.report(), await usage()];
    const took = (performance.now() - since) / 1000;
    const cpu = Object.entries(after.side).map(([name, ms]) => [
      name,
      (ms - (before.side[name] ?? 0)) / took,
    ]);
    return {
      viewers,
      fps: seen.ages.length / crowd.looking / took,
      updates: seen.updates / viewers / took,
      kib: seen.bytes / 1024 / viewers / took,
      p50: median(seen.ages),
      p95: percentile(seen.ages, 95),
      cpu: Object.fromEntries(cpu),
      xvnc: (after.xvnc - before.xvnc) / took,
    };
  } finally {
    await crowd.stop();
  }
}
