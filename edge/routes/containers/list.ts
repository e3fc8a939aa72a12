import { createRoute } from '@hono/zod-openapi';
import { pageOf } from '@warmwind/shared/contract/answers';
import { Container } from '@warmwind/shared/contract/containers';
import { DESKTOP } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { failures, json, security } from '../../http/openapi.ts';
import { queryOf } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { ContainerFilters, containerLister } from '../../lists/containers.ts';
import { LabelShape, readLabels } from '../../lists/labels.ts';
import { PageShape, readPageRequest } from '../../lists/query.ts';
import type { Services } from '../../services.ts';

const Page = pageOf(Container).meta({ id: 'ContainerPage' });

/** `GET /containers` */
export function listContainersRoute(app: App, services: Services): void {
  const lister = containerLister(services);
  const route = createRoute({
    method: 'get',
    path: '/containers',
    operationId: 'listContainers',
    summary: 'Your desktops, newest first',
    security,
    middleware: [limited(services.limiter, 'open')] as const,
    request: { query: queryOf({ ...PageShape, ...ContainerFilters, ...LabelShape }) },
    responses: {
      200: json(Page, 'One page.', { items: [DESKTOP], nextCursor: null }),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { state, name, image, host, label, ...page } = c.req.valid('query');
    const where = { fields: { state, name, image, host }, labels: readLabels({ label }) };
    return c.json(await lister.list(c, readPageRequest(page), where), 200);
  });
}
