import { createRoute } from '@hono/zod-openapi';
import { Container, containerFromRecord } from '@warmwind/shared/containers';
import { isId } from '@warmwind/shared/ids';
import { keys } from '@warmwind/shared/keys';
import type { App } from '../env.ts';
import { notFound } from '../http/errors.ts';
import { failures, IdParam, json, security } from '../http/openapi.ts';
import { limited } from '../limits/charge.ts';
import { readRecord } from '../redis/record.ts';
import type { Services } from '../services.ts';

/** `GET /containers/:id` */
export function getContainer(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/containers/{id}',
    operationId: 'getContainer',
    summary: 'One of your desktops',
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: { params: IdParam },
    responses: { 200: json(Container, 'The desktop.'), ...failures(401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id)) throw notFound('desktop');
    const container = containerFromRecord(await readRecord(redis, keys.container(c.get('user').id, id)));
    if (!container) throw notFound('desktop');
    return c.json(container, 200);
  });
}
