import type { Calibration } from './calibrate.ts';
import type { JobFigures } from './plan.ts';
import type { ScreenFigures } from './screens.ts';

/** What this machine measured: two processors of an AMD EPYC that clients and servers share. */

/** `npm run capacity`. Costs in µs of a processor, see `load.ts` for what each is of. */
export const measured: Calibration = {
  relay: {
    nodes: 4760,
    sockets: 1.25,
    followed: 49.7,
    frames: 249,
    frameBytes: 0.00793,
    deliveries: 6.4,
    deliveryBytes: 0.0000922,
    acks: 23.3,
    events: 141,
    eventDeliveries: 11.2,
  },
  redis: {
    shards: 1450,
    naps: 0,
    sockets: 0.769,
    followed: 0,
    published: 34.2,
    publishedBytes: 0.000259,
    appended: 150,
    copies: 13.4,
    frameBytes: 0.000448,
  },
  connectMs: 0.847,
  frameHeadBytes: 97.6,
  eventBytes: 256,
  nodeMb: 122,
  socketKb: 17.1,
  garbageMb: 101,
};

/** `npm run capacity -- --screens`: a desktop of the default image and size with one viewer. */
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
 * `npm run bench:jobs`: what a job costs the queue Redis. `npm run bench:history`: changes moved, of which a desktop's
 * start and end together make eight.
 */
export const jobs: JobFigures = { queueUs: 100, changes: 8, changesPerSecond: 8000 };

/** `KEY_EVERY_MS` in `workers/screen/stream.ts`. */
export const keyEveryMs = 200;
