import type { Calibration } from './calibrate.ts';
import { cpuMs, type Load, loadOf, NAPS, type Workload } from './load.ts';
import { startTrial } from './trial.ts';

/** A size that is no point of the calibration. */
export type Size = {
  name: string;
  nodes: number;
  watching: Workload;
  /** Clients that follow only the desktops' rooms. */
  listening: Workload;
};
export type Outcome = { name: string; unit: string; predicted: number; measured: number };

/** A relay's garbage collection takes tens of ms every few seconds: the window covers many of them. */
const SECONDS = 30;

export const SIZES: Size[] = [
  {
    name: '100 viewers of 4 desktops, 20 fps × 20 KB, and 20 who follow 2 events a second, 1 node',
    nodes: 1,
    watching: { viewers: 100, desktops: 4, fps: 20, frameBytes: 20_000, events: 0 },
    listening: { viewers: 20, desktops: 4, fps: 0, frameBytes: 0, events: 2 },
  },
  {
    name: '400 viewers of 8 desktops, 15 fps × 6 KB, and 80 who follow 5 events a second, 2 nodes',
    nodes: 2,
    watching: { viewers: 400, desktops: 8, fps: 15, frameBytes: 6000, events: 0 },
    listening: { viewers: 80, desktops: 8, fps: 0, frameBytes: 0, events: 5 },
  },
];

export const errorOf = ({ predicted, measured }: Outcome): number => predicted / measured - 1;

/** Predicts a size by the model, and measures it. */
export async function check(size: Size, calibration: Calibration): Promise<Outcome[]> {
  const { nodes, watching, listening } = size;
  const predicted = predict(size, calibration);
  const { desktops, fps, frameBytes } = watching;
  const trial = await startTrial({ nodes, desktops });
  try {
    const all = [...Array(desktops).keys()];
    const viewers = await trial.open('screen', watching.viewers / desktops / nodes, all);
    await trial.open('job', listening.viewers / desktops / nodes, all);
    await trial.warmUp();
    const { source } = trial;
    const taken = await trial.measure(
      SECONDS,
      (seconds) =>
        Promise.all([
          source.frames(frameBytes, fps, seconds, all),
          source.events(listening.events, seconds, all),
        ]),
      [viewers],
    );
    const memory = await trial.memoryMb();
    const measured = {
      deliveries: taken.deliveries,
      kb: taken.bytes / watching.viewers / 1000,
      relayMs: taken.relayMs,
      redisMs: taken.redisMs,
      nodeMb: memory.reduce((sum, mb) => sum + mb, 0) / nodes,
    };
    return Object.entries(NAMES).map(([key, [name, unit]]) => {
      const of = key as keyof typeof NAMES;
      return { name, unit, predicted: predicted[of], measured: measured[of] };
    });
  } finally {
    await trial.stop();
  }
}

const NAMES = {
  deliveries: ['frames delivered', '/s'],
  kb: ['to a viewer', 'KB/s'],
  relayMs: ['CPU, relay nodes together', 'ms/s'],
  redisMs: ['CPU, realtime Redis', 'ms/s'],
  nodeMb: ['memory of a node, without garbage', 'MB'],
} as const;

function predict({ nodes, watching, listening }: Size, figures: Calibration) {
  const load = both(loadOf(watching, nodes), loadOf(listening, nodes));
  return {
    deliveries: load.deliveries,
    kb: (watching.fps * (watching.frameBytes + figures.frameHeadBytes)) / 1000,
    relayMs: cpuMs(load, figures.relay),
    redisMs: cpuMs(load, figures.redis),
    nodeMb: figures.nodeMb + (load.sockets / nodes) * (figures.socketKb / 1024),
  };
}

/** Adds two loads of the same desktops on the same nodes. */
function both(a: Load, b: Load): Load {
  const sums = Object.keys(a).map((term) => [term, a[term as keyof Load] + b[term as keyof Load]]);
  const { nodes, shards, followed } = a;
  return {
    ...(Object.fromEntries(sums) as Load),
    nodes,
    shards,
    followed,
    naps: Math.min(a.naps + b.naps, NAPS),
  };
}
