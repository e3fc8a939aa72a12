import { jobs } from '@warmwind/shared/engine/ledger/schema';
import { QUEUES } from '@warmwind/shared/engine/queues';
import { type Check, queueDepth } from '@warmwind/shared/runtime/health';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { failureOf } from '../http/failure.ts';
import type { Services } from '../services.ts';

/**
 * The checks of readiness: the queue Redis, the depth of each queue, and the ledger if the deployment has
 * one.
 */
export function readyChecks(
  c: Context<AppEnv>,
  { config, queues, redis, ledger }: Services,
): Record<string, Check> {
  const depth = async (name: string) => {
    const counts = await queues.get(name).getJobCounts();
    return [name, queueDepth(counts, config.BACKPRESSURE_ABOVE)];
  };
  return {
    redisQueue: plain(async () => {
      await redis.ping();
      return {};
    }),
    queues: plain(async () => Object.fromEntries(await Promise.all(QUEUES.map(depth)))),
    ...(ledger
      ? {
          ledger: plain(async () => {
            await ledger.run(c, (db) => db.select({ id: jobs.id }).from(jobs).limit(1));
            return {};
          }),
        }
      : {}),
  };
}

/** Shows a failure without the command or query that failed. */
const plain =
  (check: Check): Check =>
  async () => {
    try {
      return await check();
    } catch (error) {
      throw new Error(failureOf(error).error);
    }
  };
