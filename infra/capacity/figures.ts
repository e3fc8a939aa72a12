import type { Calibration } from './calibrate.ts';
import type { JobFigures } from './plan.ts';
import type { ScreenFigures } from './screens.ts';

/** What this machine measured: two processors of an AMD EPYC that clients and servers share. */

/** `npm run capacity`. Costs in µs of a processor, see `load.ts` for what each is of. */
export const measured: Calibration = {
  relay: {
    nodes: 924,
    sockets: 3.27,
    followed: 83.8,
    frames: 245,
    frameBytes: 0.00625,
    deliveries: 5.92,
    deliveryBytes: 0,
    acks: 17.2,
    events: 114,
    eventDeliveries: 11.7,
  },
  redis: {
    shards: 1360,
    naps: 54.6,
    sockets: 0.165,
    followed: 0,
    published: 13.1,
    publishedBytes: 0,
    appended: 123,
    copies: 7.3,
    frameBytes: 0.000238,
  },
  connectMs: 0.743,
  frameHeadBytes: 97.5,
  eventBytes: 256,
  nodeMb: 123,
  socketKb: 18.1,
  garbageMb: 111,
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
