import { newId } from '@warmwind/shared/contract/ids';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { Registry } from 'prom-client';
import { startRedis } from '../../infra/quality/testing/redis.ts';
import { createMetrics } from '../metrics.ts';
import type { Handler } from '../runtime/delivery.ts';
import { JobWorker, type JobWorkerOptions } from '../runtime/worker.ts';
import { forEveryKind } from './handlers.ts';
import { createSubmissions } from './submissions.ts';

/**
 * Starts queues and workers without desktops: two real Redis servers, and workers whose handler a test
 * provides.
 * @param redisArgs of the queue Redis
 */
export async function createLine(redisArgs: string[] = []) {
  const log = createLog('test');
  log.level = process.env.LOG_LEVEL ?? 'silent';
  const [queueRedis, realtime] = await Promise.all([startRedis(redisArgs), startRedis()]);
  const redis = connectQueueing(queueRedis.url, 'test', log);
  const events = connectQueueing(realtime.url, 'test', log);
  const registry = new Registry();
  const metrics = createMetrics(registry, async () => {});
  let dropped = 0;
  const records = new Records(redis, new Publisher(events, log, (count) => (dropped += count), 200));
  const submissions = createSubmissions({ queueRedis, realtime, image: 'none' });
  const workers = new Set<JobWorker>();

  return {
    ...submissions,
    log,
    queueRedis,
    realtime,
    redis,
    records,
    metrics,
    registry,
    /** The number of dropped events. */
    dropped: () => dropped,

    /** Starts a worker that runs every job with `handler`. */
    work: (handler: Handler, more: Partial<JobWorkerOptions> = {}): JobWorker => {
      const deps = {
        boot: newId(),
        redis,
        records,
        ledger: undefined,
        metrics,
        log,
        queue: submissions.queue,
      };
      const options = { queue: 'containers', concurrency: 4, requeuesAtShutdown: true, ...more };
      const worker = new JobWorker(deps, options, forEveryKind(handler));
      workers.add(worker);
      worker.run();
      return worker;
    },

    stop: async () => {
      await Promise.all([...workers].map((worker) => worker.close()));
      await submissions.close();
      await Promise.all([redis, events].map((connection) => disconnect(connection)));
      await Promise.all([queueRedis.stop(), realtime.stop()]);
    },
  };
}

export type Line = Awaited<ReturnType<typeof createLine>>;
