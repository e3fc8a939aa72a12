import { createRoute, z } from '@hono/zod-openapi';
import { CONTAINER_STATES, Container, containerFromRecord } from '@warmwind/shared/containers';
import { keys } from '@warmwind/shared/keys';
import type { App } from '../env.ts';
import { failures, json, security } from '../http/openapi.ts';
import { limited } from '../limits/charge.ts';
import { createPager, PageQuery } from '../redis/page.ts';
import type { Services } from '../services.ts';

/** `GET /containers` */
export function listContainers(app: App, { limiter, redis }: Services): void {
  const page = createPager(redis);
  const route = createRoute({
    method: 'get',
    path: '/containers',
    operationId: 'listContainers',
    summary: 'Your desktops, newest first',
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: { query: PageQuery.extend({ state: z.enum(CONTAINER_STATES).optional() }) },
    responses: {
      200: json(z.object({ items: z.array(Container), nextCursor: z.string().nullable() }), 'One page.'),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { state, cursor, limit } = c.req.valid('query');
    const user = c.get('user').id;
    const { records, nextCursor } = await page({
      index: keys.containers(user),
      prefix: keys.container(user, ''),
      limit,
      cursor,
      where: { state },
    });
    const items = records.flatMap((record) => containerFromRecord(record) ?? []);
    return c.json({ items, nextCursor }, 200);
  });
}
