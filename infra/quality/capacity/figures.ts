import type { Calibration } from './calibrate.ts';
import type { JobFigures } from './plan.ts';
import type { ScreenFigures } from './screens.ts';

/** Figures measured on two processors of an AMD EPYC that clients and servers share. */

/** Printed by `npm run capacity`. Costs in µs of a processor; `load.ts` documents each term. */
export const measured: Calibration = {
  relay: {
    nodes: 1240,
    sockets: 2.08,
    followed: 144,
    frames: 221,
    frameBytes: 0.00431,
    deliveries: 8.98,
    deliveryBytes: 0.0000166,
    acks: 11.9,
    events: 85.3,
    eventDeliveries: 11.4,
  },
  redis: {
    shards: 1440,
    naps: 49.2,
    sockets: 0.567,
    followed: 41.2,
    published: 9.86,
    publishedBytes: 0.0000435,
    appended: 104,
    copies: 6.66,
    frameBytes: 0.000118,
  },
  connectMs: 0.674,
  frameHeadBytes: 97.5,
  eventBytes: 256,
  nodeMb: 121,
  socketKb: 18.4,
  garbageMb: 113,
};

/** Printed by `npm run capacity -- --screens`: a desktop of the default image and size with one viewer. */
export const screens: Record<'rest' | 'text' | 'animation', ScreenFigures> = {
  rest: { fps: 0, frameBytes: 0, keyBytes: 40_100, desktopMs: 2.08, bridgeMs: 0.999, desktopMb: 37.9 },
  text: { fps: 30.4, frameBytes: 610, keyBytes: 231_000, desktopMs: 85.9, bridgeMs: 32, desktopMb: 38.6 },
  animation: {
    fps: 19.2,
    frameBytes: 4270,
    keyBytes: 57_100,
    desktopMs: 74.2,
    bridgeMs: 26,
    desktopMb: 35.2,
  },
};

/**
 * Measured by `npm run bench:jobs` (cost of a job for the queue Redis) and `npm run bench:history` (changes
 * moved). The start and stop of a desktop make eight changes.
 */
export const jobs: JobFigures = { queueUs: 100, changes: 8, changesPerSecond: 8000 };

/** `KEY_EVERY_MS` in `workers/screen/stream.ts`. */
export const keyEveryMs = 200;
