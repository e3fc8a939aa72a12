import { createRoute } from '@hono/zod-openapi';
import { Container } from '@warmwind/shared/contract/containers';
import { DESKTOP } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { findContainer } from '../../records/find-container.ts';
import type { Services } from '../../services.ts';

/** `GET /containers/:id` */
export function getContainerRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/containers/{id}',
    operationId: 'getContainer',
    summary: 'One of your desktops',
    security,
    middleware: [limited(services.limiter, 'open'), noQuery] as const,
    request: { params: IdParam },
    responses: { 200: json(Container, 'The desktop.', DESKTOP), ...failures(400, 401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const container = await findContainer(c, services, c.req.valid('param').id);
    if (!container) throw notFound('desktop');
    return c.json(container, 200);
  });
}
