import { createRoute } from '@hono/zod-openapi';
import { type Check, checkHealth, Health, queueDepth } from '@warmwind/shared/health';
import { QUEUES } from '@warmwind/shared/queues';
import type { App } from '../env.ts';
import { json } from '../http/openapi.ts';
import { redisFailure } from '../redis/redis.ts';
import type { Services } from '../services.ts';

const responses = { 200: json(Health, 'Healthy.'), 503: json(Health, 'Not healthy.') };

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
  app.openapi(
    createRoute({
      method: 'get',
      path: '/health/ready',
      operationId: 'ready',
      summary: 'Can it serve',
      responses,
    }),
    async (c) => {
      const health = await checkHealth(readyChecks(services));
      return c.json(health, health.status === 'ok' ? 200 : 503);
    },
  );
}

/** The queue Redis answers, and how deep each queue is. */
function readyChecks({ config, queues, redis }: Services): Record<string, Check> {
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
  };
}

/** A failure is shown without the command that failed. */
const plain =
  (check: Check): Check =>
  async () => {
    try {
      return await check();
    } catch (error) {
      throw new Error(redisFailure(error).error);
    }
  };
