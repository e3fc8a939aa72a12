import { fit } from './fit.ts';
import { type Load, loadOf, REDIS_TERMS, RELAY_TERMS, type RedisCosts, type RelayCosts } from './load.ts';
import { startTrial, type Taken, type Trial } from './trial.ts';

/** The measured unit costs. */
export type Calibration = {
  relay: RelayCosts;
  redis: RedisCosts;
  /** Processor time of a node to connect a viewer, ms. */
  connectMs: number;
  /** Bytes of a frame without its payload, and of an event, on a viewer's connection. */
  frameHeadBytes: number;
  eventBytes: number;
  /** Memory of a node without sockets, of each socket, and of garbage at most. */
  nodeMb: number;
  socketKb: number;
  garbageMb: number;
};

/**
 * A relay collects garbage every few megabytes received: large frames are measured over several collections.
 */
const SECONDS = 5;
const SECONDS_OF_LARGE = 10;
const LARGE_BYTES = 10_000;

/** Desktops with some viewers and listeners each, one with a crowd of both; the last has none. */
const SMALL = [0, 1, 2, 3, 4, 5, 6, 7];
const CROWD = [8];
const NO_VIEWER = [9];
const SOME = 20;
const VIEWERS = 240;
const LISTENERS = 120;
/** Sockets that are opened at the end, to measure the cost of one. */
const MORE = 300;
const FEW = { sockets: 2 * SOME * SMALL.length, followed: SMALL.length };
const ALL = { sockets: FEW.sockets + LISTENERS + VIEWERS, followed: FEW.followed + CROWD.length };

/**
 * A load: desktops `on` publish, each for `of` viewers or listeners, and for subscribers that are not relays.
 */
type Step = {
  on: number[];
  of: number;
  fps?: number;
  frameBytes?: number;
  events?: number;
  subscribers?: number;
};
const REST: Step = { on: [], of: 0 };
/** They differ in one variable after another. No frame is due when a pause between acknowledgements ends. */
const STEPS: Step[] = [
  REST,
  { on: SMALL, of: SOME, fps: 5, frameBytes: 1000 },
  { on: SMALL, of: SOME, fps: 12, frameBytes: 1000 },
  { on: SMALL, of: SOME, fps: 27, frameBytes: 1000 },
  { on: SMALL, of: SOME, fps: 12, frameBytes: 10_000, events: 4 },
  { on: SMALL, of: SOME, fps: 12, frameBytes: 50_000 },
  { on: CROWD, of: VIEWERS, fps: 8, frameBytes: 1000 },
  { on: CROWD, of: VIEWERS, fps: 24, frameBytes: 1000 },
  { on: CROWD, of: VIEWERS, fps: 7, frameBytes: 60_000 },
  { on: SMALL, of: SOME, events: 20 },
  { on: CROWD, of: LISTENERS, events: 25 },
  { on: NO_VIEWER, of: 0, fps: 120, frameBytes: 1000, subscribers: 4 },
  { on: NO_VIEWER, of: 0, fps: 1000, frameBytes: 1000, subscribers: 1 },
  { on: NO_VIEWER, of: 0, fps: 1000, frameBytes: 1000, subscribers: 4 },
  { on: NO_VIEWER, of: 0, fps: 400, frameBytes: 20_000, subscribers: 4 },
];

type Point = { step: Step; load: Load; taken: Taken };

/** Measures loads that differ in one variable after another, and fits the costs that explain them all. */
export async function calibrate(): Promise<Calibration> {
  const trial = await startTrial({ nodes: 1, desktops: SMALL.length + CROWD.length + NO_VIEWER.length });
  const points: Point[] = [];
  const measure = async (step: Step, open: Pick<Load, 'sockets' | 'followed'>) => {
    points.push(await measureStep(trial, step, open));
  };
  const memory = async () => (await trial.memoryMb())[0] ?? Number.NaN;
  try {
    await measure(REST, { sockets: 0, followed: 0 });
    await trial.open('screen', SOME, SMALL);
    await trial.open('job', SOME, SMALL);
    await trial.warmUp();
    const heldByFew = await memory();
    await measure(REST, FEW);
    await trial.open('job', LISTENERS, CROWD);
    await trial.open('screen', VIEWERS, CROWD);
    for (const step of STEPS) await measure(step, ALL);
    const most = Math.max(...points.flatMap(({ taken }) => taken.rssMb));
    const [held, { relayMs: before }] = [await memory(), await trial.usage()];
    await trial.open('screen', MORE, NO_VIEWER);
    const { relayMs: after } = await trial.usage();
    const socketMb = ((await memory()) - held) / MORE;
    // Subscribers that are not relays cost a relay nothing.
    const relayed = points.filter(({ step }) => !step.subscribers);
    return {
      relay: costs(RELAY_TERMS, relayed, ({ relayMs }) => relayMs),
      redis: costs(REDIS_TERMS, points, ({ redisMs }) => redisMs),
      connectMs: (after - before) / MORE,
      ...wire(points),
      nodeMb: heldByFew - FEW.sockets * socketMb,
      socketKb: socketMb * 1024,
      garbageMb: most - held,
    };
  } finally {
    await trial.stop();
  }
}

async function measureStep(
  trial: Trial,
  step: Step,
  open: Pick<Load, 'sockets' | 'followed'>,
): Promise<Point> {
  const { on, of, fps = 0, frameBytes = 0, events = 0, subscribers = 0 } = step;
  const end = trial.subscribe(on[0] ?? 0, subscribers);
  const seconds = of > 0 && frameBytes >= LARGE_BYTES ? SECONDS_OF_LARGE : SECONDS;
  const taken = await trial.measure(seconds, (seconds) =>
    Promise.all([
      trial.source.frames(frameBytes, fps, seconds, on),
      trial.source.events(events, seconds, on),
    ]),
  );
  end();
  const load = loadOf({ viewers: on.length * of, desktops: on.length, fps, frameBytes, events }, 1);
  load.copies += subscribers * fps;
  load.frameBytes += subscribers * fps * frameBytes;
  return { step, load: { ...load, ...open }, taken };
}

function costs<T extends keyof Load>(
  terms: readonly T[],
  points: Point[],
  ms: (taken: Taken) => number,
): Record<T, number> {
  const rows = points.map(({ load }) => terms.map((term) => load[term]));
  const measured = points.map(({ taken }) => ms(taken) * 1000);
  const found = fit(rows, measured);
  return Object.fromEntries(terms.map((term, i) => [term, found[i]])) as Record<T, number>;
}

/** @returns the received bytes of a frame's head and of an event */
function wire(points: Point[]): Pick<Calibration, 'frameHeadBytes' | 'eventBytes'> {
  const each = (of: Point[]) => {
    const total = (name: 'bytes' | 'deliveries') => of.reduce((sum, { taken }) => sum + taken[name], 0);
    return total('bytes') / total('deliveries');
  };
  const small = points.filter(({ step }) => step.of > 0 && step.frameBytes === 1000);
  return {
    frameHeadBytes: each(small) - 1000,
    eventBytes: each(points.filter(({ step }) => step.events && !step.fps)),
  };
}
