import { createRoute } from '@hono/zod-openapi';
import { checkHealth, Health } from '@warmwind/shared/runtime/health';
import type { Context } from 'hono';
import { HEALTH, UNHEALTHY } from '../docs/examples.ts';
import type { App, AppEnv } from '../env.ts';
import { readyChecks } from '../health/checks.ts';
import { recent } from '../health/recent.ts';
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
      summary: 'Liveness',
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
      summary: 'Readiness',
      responses,
    }),
    async (c) => {
      const health = await ready(c);
      return c.json(health, health.status === 'ok' ? 200 : 503);
    },
  );
}
