import type { Calibration } from './calibrate.ts';
import type { JobFigures } from './plan.ts';
import type { ScreenFigures } from './screens.ts';

/** What this machine measured: two processors of an AMD EPYC that clients and servers share. */

/** `npm run capacity`. Costs in µs of a processor, see `load.ts` for what each is of. */
export const measured: Calibration = {
  relay: {
    nodes: 2030,
    sockets: 0,
    followed: 383,
    frames: 127,
    frameBytes: 0.0016,
    deliveries: 6.83,
    deliveryBytes: 0,
    acks: 22.9,
    events: 24.1,
    eventDeliveries: 9.97,
  },
  redis: {
    shards: 791,
    sockets: 0.172,
    followed: 84.8,
    published: 30.1,
    publishedBytes: 0.000545,
    appended: 72.3,
    copies: 4.67,
    frameBytes: 0.000121,
  },
  connectMs: 0.786,
  frameHeadBytes: 97.6,
  eventBytes: 256,
  nodeMb: 162,
  socketKb: 16.2,
  garbageMb: 71.8,
};

/** `npm run capacity -- --screens`: a desktop of the default image and size with one viewer. */
export const screens: Record<'rest' | 'text' | 'animation', ScreenFigures> = {
  rest: { fps: 0, frameBytes: 0, keyBytes: 40_100, desktopMs: 2.36, bridgeMs: 0, desktopMb: 55.6 },
  text: { fps: 37.6, frameBytes: 498, keyBytes: 224_000, desktopMs: 82.1, bridgeMs: 41, desktopMb: 42.5 },
  animation: {
    fps: 19.2,
    frameBytes: 4300,
    keyBytes: 57_800,
    desktopMs: 70.7,
    bridgeMs: 40,
    desktopMb: 36.4,
  },
};

/**
 * `npm run bench:jobs`: what a job costs the queue Redis. `npm run bench:history`: changes moved, of which a desktop's
 * start and end together make eight.
 */
export const jobs: JobFigures = { queueUs: 100, changes: 8, changesPerSecond: 8000 };

/** `KEY_EVERY_MS` in `workers/screen/stream.ts`. */
export const keyEveryMs = 200;
