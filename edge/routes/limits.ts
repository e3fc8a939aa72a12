import { createRoute } from '@hono/zod-openapi';
import { keys } from '@warmwind/shared/keys';
import { Limits } from '@warmwind/shared/limits';
import { LIMITS } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { pacedByUser } from '../limits/paced.ts';
import { needed } from '../redis/record.ts';
import type { Services } from '../services.ts';

/** `GET /limits`: looks without consuming, and is not limited itself; a user that looks all the time waits. */
export function getLimitsRoute(app: App, { config, limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/limits',
    operationId: 'getLimits',
    summary: 'Your limits and what is left of them',
    security,
    middleware: [pacedByUser(), noQuery] as const,
    responses: { 200: json(Limits, 'All tiers and quotas.', LIMITS), ...failures(400, 401, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const user = c.get('user').id;
    const now = `(${Date.now()}`;
    const [{ tiers }, [jobs = 0, desktops = 0]] = await needed(
      Promise.all([
        limiter.peek(user, ['user', 'containers.start']),
        redis
          .pipeline()
          .zcount(keys.openJobs(user), now, '+inf')
          .zcount(keys.openContainers(user), now, '+inf')
          .exec<number[]>(),
      ]),
    );
    return c.json(
      {
        tiers: tiers.map(({ resetUs, ...tier }) => ({
          ...tier,
          resetAt: new Date(Math.ceil(resetUs / 1000)).toISOString(),
        })),
        quotas: [
          { name: 'jobs', limit: config.QUOTAS.jobs, used: jobs },
          { name: 'desktops', limit: config.QUOTAS.desktops, used: desktops },
        ],
      },
      200,
    );
  });
}
