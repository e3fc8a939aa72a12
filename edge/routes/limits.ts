import { createRoute } from '@hono/zod-openapi';
import { ADMIN_ROLE } from '@warmwind/shared/contract/admin';
import { Limits } from '@warmwind/shared/contract/limits';
import { LIMITS } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { currentLimits, USER_SCOPES } from '../limits/current.ts';
import { throttledByUser } from '../limits/throttled.ts';
import type { Services } from '../services.ts';

/**
 * `GET /limits`: consumes nothing and is not limited itself; a user that polls it without pause is slowed.
 */
export function getLimitsRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/limits',
    operationId: 'getLimits',
    summary: 'Your limits and what is left of them',
    security,
    middleware: [throttledByUser(), noQuery] as const,
    responses: { 200: json(Limits, 'All tiers and quotas.', LIMITS), ...failures(400, 401, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { id, role } = c.get('user');
    return c.json(await currentLimits(services, id, role === ADMIN_ROLE ? undefined : USER_SCOPES), 200);
  });
}
