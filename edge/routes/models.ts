import { createRoute } from '@hono/zod-openapi';
import { Models } from '@warmwind/shared/contract/answers';
import { MODELS } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { limited } from '../limits/charge.ts';
import { servedModels } from '../records/served-models.ts';
import type { Services } from '../services.ts';

/** `GET /models` */
export function listModelsRoute(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/models',
    operationId: 'listModels',
    summary: 'The models that are served now',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    responses: { 200: json(Models, 'By name.', MODELS), ...failures(400, 401, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const hosts = await servedModels(redis);
    const items = [...hosts].map(([id, count]) => ({ id, hosts: count }));
    return c.json({ items: items.sort((a, b) => (a.id < b.id ? -1 : 1)) }, 200);
  });
}
