import { readDepths } from '@warmwind/shared/engine/node/depths';
import { QUEUES } from '@warmwind/shared/engine/queues';
import { diskCheck, liveChecks, type Probes, redisCheck } from '@warmwind/shared/runtime/node/health';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';
import type { Rooms } from './rooms/rooms.ts';
import type { Stores } from './stores.ts';

export type ProbedParts = { stores: Stores; rooms: Rooms; metrics: Metrics };

/** Liveness, and readiness: both Redis roles, the depths of the queues, the subscriptions, the disk. */
export function createProbes(config: Config, { stores, rooms, metrics }: ProbedParts): Probes {
  const { queue, realtime, subscriber } = stores;
  return {
    live: liveChecks(),
    ready: {
      redisQueue: redisCheck(queue),
      redisRealtime: redisCheck(realtime),
      queues: () => readDepths(queue, QUEUES, config.BACKPRESSURE_ABOVE),
      subscriptions: async () => {
        if (subscriber.status !== 'ready') throw new Error(`the subscriber is ${subscriber.status}`);
        return { rooms: rooms.size };
      },
      disk: diskCheck('/'),
    },
    registry: metrics.registry,
  };
}
