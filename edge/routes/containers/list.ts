import { createRoute, z } from '@hono/zod-openapi';
import { CONTAINER_STATES, Container, containerFromRecord, hasEnded } from '@warmwind/shared/containers';
import { pageOf } from '@warmwind/shared/contract/answers';
import { keys } from '@warmwind/shared/keys';
import { listContainers as listRows } from '@warmwind/shared/ledger/reads';
import { containerOf } from '@warmwind/shared/ledger/rows';
import { DESKTOP } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { failures, json, security } from '../../http/openapi.ts';
import { queryOf } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { createLister } from '../../lists/list.ts';
import { PageShape, readPageRequest } from '../../lists/query.ts';
import type { Services } from '../../services.ts';

const Page = pageOf(Container).meta({ id: 'ContainerPage' });
const Filters = { state: z.enum(CONTAINER_STATES).optional() };
type Where = z.output<z.ZodObject<typeof Filters>>;

/** `GET /containers` */
export function listContainersRoute(app: App, services: Services): void {
  const list = createLister<Container, Where>(services, {
    index: keys.containers,
    key: keys.container,
    fromRecord: containerFromRecord,
    fromLedger: async (db, page, { state }) => (await listRows(db, page, { state })).map(containerOf),
    hasEnded: ({ state }) => hasEnded(state),
    outdates: (row, record) => hasEnded(row.state) && !hasEnded(record.state),
  });
  const route = createRoute({
    method: 'get',
    path: '/containers',
    operationId: 'listContainers',
    summary: 'Your desktops, newest first',
    security,
    middleware: [limited(services.limiter, 'open')] as const,
    request: { query: queryOf({ ...PageShape, ...Filters }) },
    responses: {
      200: json(Page, 'One page.', { items: [DESKTOP], nextCursor: null }),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { state, ...page } = c.req.valid('query');
    return c.json(await list(c, readPageRequest(page), { state }), 200);
  });
}
