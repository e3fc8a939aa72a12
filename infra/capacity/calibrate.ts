import { fit } from './fit.ts';
import {
  cpuMs,
  type Load,
  loadOf,
  REDIS_TERMS,
  RELAY_TERMS,
  type RedisCosts,
  type RelayCosts,
} from './load.ts';
import { startTrial, type Taken, type Trial } from './trial.ts';

/** What each thing costs on this machine, now. */
export type Calibration = {
  relay: RelayCosts;
  redis: RedisCosts;
  /** Of a node without sockets, and of each socket. */
  nodeMb: number;
  socketKb: number;
  /** Processor time of a node until a viewer watches, ms. */
  connectMs: number;
  /** Of a frame beside its payload, and of an event, on a viewer's connection. */
  frameHeadBytes: number;
  eventBytes: number;
};

const SECONDS = 3;
const ROUNDS = 2;

/** Desktops with one viewer and one listener each, one with a crowd of both; the last has none. */
const SINGLE = [0, 1, 2, 3, 4, 5, 6, 7];
const CROWD = [8];
const NOBODY = [9];
const VIEWERS = 240;
const LISTENERS = 120;

/** What some desktops publish for so many viewers or listeners of each, and for subscribers that are no relays. */
type Step = {
  on: number[];
  of: number;
  fps?: number;
  frameBytes?: number;
  events?: number;
  subscribers?: number;
};
const REST: Step = { on: [], of: 0 };
/** They differ in one thing after another. */
const STEPS: Step[] = [
  { on: SINGLE, of: 1, fps: 8, frameBytes: 1000 },
  { on: SINGLE, of: 1, fps: 30, frameBytes: 1000 },
  { on: SINGLE, of: 1, fps: 14, frameBytes: 50_000 },
  { on: CROWD, of: VIEWERS, fps: 8, frameBytes: 1000 },
  { on: CROWD, of: VIEWERS, fps: 24, frameBytes: 1000 },
  { on: CROWD, of: VIEWERS, fps: 7, frameBytes: 60_000 },
  { on: SINGLE, of: 1, events: 20 },
  { on: CROWD, of: LISTENERS, events: 25 },
  { on: NOBODY, of: 0, fps: 120, frameBytes: 1000, subscribers: 12 },
  { on: NOBODY, of: 0, fps: 60, frameBytes: 50_000, subscribers: 12 },
];

type Point = { step: Step; load: Load; taken: Taken };

/** Measures loads that differ in one thing after another, and finds the costs that explain them all. */
export async function calibrate(): Promise<Calibration> {
  const trial = await startTrial({ nodes: 1, desktops: 10 });
  try {
    const points: Point[] = [];
    const measure = async (step: Step, open: Pick<Load, 'sockets' | 'followed'>) => {
      points.push(await measured(trial, step, open));
    };
    const memory = [await trial.memoryMb()];
    await measure(REST, { sockets: 0, followed: 0 });
    await trial.open('screen', 1, SINGLE);
    await trial.open('job', 1, SINGLE);
    await warmUp(trial);
    await measure(REST, { sockets: 2 * SINGLE.length, followed: SINGLE.length });
    memory.push(await trial.memoryMb());
    await trial.open('job', LISTENERS, CROWD);
    const before = await trial.usage();
    await trial.open('screen', VIEWERS, CROWD);
    const connectMs = ((await trial.usage()).relayMs - before.relayMs) / VIEWERS;
    await warmUp(trial);
    memory.push(await trial.memoryMb());
    const sockets = 2 * SINGLE.length + LISTENERS + VIEWERS;
    for (let round = 0; round < ROUNDS; round++) {
      for (const step of [REST, ...STEPS]) await measure(step, { sockets, followed: SINGLE.length + 1 });
    }
    memory.push(await trial.memoryMb());
    const relay = costs(
      RELAY_TERMS,
      points.filter(({ step }) => !step.subscribers),
      ({ relayMs }) => relayMs,
    );
    const redis = costs(REDIS_TERMS, points, ({ redisMs }) => redisMs);
    for (const {
      step,
      load,
      taken: { relayMs, redisMs, deliveries, bytes },
    } of points)
      console.log(
        JSON.stringify(step),
        relayMs.toFixed(1),
        (cpuMs(load, relay) / relayMs).toFixed(2),
        redisMs.toFixed(2),
        (cpuMs(load, redis) / redisMs).toFixed(2),
        (deliveries / (load.deliveries + load.eventDeliveries)).toFixed(4),
        bytes,
      );
    console.log(memory);
    return { relay, redis, nodeMb: 0, socketKb: 0, connectMs, frameHeadBytes: 0, eventBytes: 0 };
  } finally {
    await trial.stop();
  }
}

async function measured(trial: Trial, step: Step, open: Pick<Load, 'sockets' | 'followed'>): Promise<Point> {
  const { on, of, fps = 0, frameBytes = 0, events = 0, subscribers = 0 } = step;
  const end = subscribers > 0 ? await trial.subscribe(on[0] ?? 0, subscribers) : undefined;
  const taken = await trial.measure(SECONDS, (seconds) =>
    Promise.all([
      trial.source.frames(frameBytes, fps, seconds, on),
      trial.source.events(events, seconds, on),
    ]),
  );
  end?.();
  const desktops = on.length;
  const load = loadOf({ viewers: desktops * of, desktops, fps, frameBytes, events }, 1);
  const handed = {
    copies: load.copies + subscribers * fps,
    frameBytes: load.frameBytes + subscribers * fps * frameBytes,
  };
  return { step, load: { ...load, ...open, ...handed }, taken };
}

/** For the just-in-time compiler. */
async function warmUp({ source }: Trial): Promise<void> {
  await Promise.all([source.frames(4000, 20, 4), source.events(10, 4)]);
}

function costs<T extends keyof Load>(
  terms: readonly T[],
  points: Point[],
  ms: (taken: Taken) => number,
): Record<T, number> {
  const rows = points.map(({ load }) => terms.map((term) => load[term]));
  const found = fit(
    rows,
    points.map(({ taken }) => ms(taken) * 1000),
  );
  return Object.fromEntries(terms.map((term, i) => [term, found[i]])) as Record<T, number>;
}
