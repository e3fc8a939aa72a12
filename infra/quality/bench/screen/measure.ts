import { setTimeout as sleep } from 'node:timers/promises';
import { median, percentile } from '../report.ts';
import { gather, type Side } from './crowd.ts';
import type { Desktop } from './desktop.ts';

/** How long the stream settles before counting begins, ms. */
const WARM_UP_MS = 3000;

/** The figures of one side. CPU: for all viewers together, ms a second. */
export type Cost = {
  viewers: number;
  /** Changes of the marker that one viewer read a second; each counts as a delivered update. */
  fps: number;
  /** FramebufferUpdates and KiB that one viewer received a second. */
  updates: number;
  kib: number;
  /** From the drawn time to the viewer's socket, ms. */
  p50: number;
  p95: number;
  cpu: Record<string, number>;
  xvnc: number;
};

export const cpuOf = ({ cpu }: Cost): number => Object.values(cpu).reduce((sum, ms) => sum + ms, 0);
/**
 * CPU time of one change of the marker at one viewer, µs.
 * @param more additional CPU time, ms a second
 */
export const perUpdate = (cost: Cost, more = 0): number =>
  ((cpuOf(cost) + more) * 1000) / (cost.fps * cost.viewers);

/** Measures one side with a number of viewers for `seconds`. */
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
