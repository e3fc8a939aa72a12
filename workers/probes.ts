import { readLag } from '@warmwind/shared/engine/ledger/reads';
import { readDepths } from '@warmwind/shared/engine/node/depths';
import { hostQueues, QUEUES } from '@warmwind/shared/engine/queues';
import type { Check } from '@warmwind/shared/runtime/health';
import { diskCheck, liveChecks, type Probes, redisCheck } from '@warmwind/shared/runtime/node/health';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';
import type { Engine } from './containers/engine.ts';
import type { Models } from './inference/models.ts';
import type { Lease } from './leader/lease.ts';
import type { Metrics } from './metrics.ts';
import type { Stores } from './stores.ts';

export type ProbedParts = {
  registry: Registry;
  stores: Stores;
  engine: Engine;
  lease: Lease;
  models: Models;
};

/** The queues whose depths this worker reports. */
export const queuesOf = (host: string): string[] => [...QUEUES, ...hostQueues(host)];

/** Creates a check that reads the depths of the queues and updates the metrics. */
export const depthCheck =
  (config: Config, stores: Pick<Stores, 'failFastRedis'>, metrics: Metrics): Check =>
  async () => {
    const queues = queuesOf(config.WORKER_HOST);
    const found = await readDepths(stores.failFastRedis, queues, config.BACKPRESSURE_ABOVE);
    for (const [queue, depth] of Object.entries(found)) metrics.depth(queue, depth);
    return found;
  };

/** Liveness, and readiness: stores, engine, disk, queues, models, the lease of the host. */
export function createProbes(config: Config, parts: ProbedParts, depths: Check): Probes {
  const { registry, stores, engine, lease, models } = parts;
  const { ledger } = stores;
  return {
    registry,
    live: liveChecks(),
    ready: {
      redisQueue: redisCheck(stores.failFastRedis),
      redisRealtime: redisCheck(stores.realtimeFailFast),
      docker: async () => {
        await engine.ping();
        return {};
      },
      disk: diskCheck(config.DATA_DIR),
      queues: depths,
      models: async () => models.check(),
      ...(ledger && {
        ledger: async () => {
          await ledger.run(readLag).catch((cause: unknown) => {
            throw new Error('PostgreSQL is unavailable: check that it runs and can be reached', { cause });
          });
          return {};
        },
      }),
      lease: async () => {
        if (!lease.held) throw new Error('another process holds this host name, or Redis does not answer');
        return { host: config.WORKER_HOST };
      },
    },
  };
}
