import { createRoute } from '@hono/zod-openapi';
import { type Check, checkHealth, Health, queueDepth } from '@warmwind/shared/health';
import { jobs } from '@warmwind/shared/ledger/schema';
import { QUEUES } from '@warmwind/shared/queues';
import type { Context } from 'hono';
import { HEALTH, UNHEALTHY } from '../docs/examples.ts';
import type { App, AppEnv } from '../env.ts';
import { recent } from '../health/recent.ts';
import { failureOf } from '../http/failure.ts';
import { json } from '../http/openapi.ts';
import type { Services } from '../services.ts';

const responses = { 200: json(Health, 'Healthy.', HEALTH), 503: json(Health, 'Not healthy.', UNHEALTHY) };

/** `GET /health/live` and `GET /health/ready` */
export function healthRoutes(app: App, services: Services): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/health/live',
      operationId: 'live',
      summary: 'Does it run',
      responses,
    }),
    async (c) => c.json(await checkHealth({}), 200),
  );
  const ready = recent((c: Context<AppEnv>) => checkHealth(readyChecks(c, services)));
  app.openapi(
    createRoute({
      method: 'get',
      path: '/health/ready',
      operationId: 'ready',
      summary: 'Can it serve',
      responses,
    }),
    async (c) => {
      const health = await ready(c);
      return c.json(health, health.status === 'ok' ? 200 : 503);
    },
  );
}

/** The queue Redis answers, how deep each queue is, and the ledger answers, if there is to be one. */
function readyChecks(c: Context<AppEnv>, { config, queues, redis, ledger }: Services): Record<string, Check> {
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

/** A failure is shown without the command or query that failed. */
const plain =
  (check: Check): Check =>
  async () => {
    try {
      return await check();
    } catch (error) {
      throw new Error(failureOf(error).error);
    }
  };
