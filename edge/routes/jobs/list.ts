import { createRoute, z } from '@hono/zod-openapi';
import { pageOf } from '@warmwind/shared/contract/answers';
import { isTerminal, JOB_KINDS, JOB_STATES, Job, jobFromRecord } from '@warmwind/shared/jobs';
import { keys } from '@warmwind/shared/keys';
import { listJobs as listRows } from '@warmwind/shared/ledger/reads';
import { jobOf } from '@warmwind/shared/ledger/rows';
import { JOB } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { failures, json, security } from '../../http/openapi.ts';
import { queryOf } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { createLister } from '../../lists/list.ts';
import { PageShape, readPageRequest } from '../../lists/query.ts';
import type { Services } from '../../services.ts';

const Page = pageOf(Job).meta({ id: 'JobPage' });
const Filters = { state: z.enum(JOB_STATES).optional(), kind: z.enum(JOB_KINDS).optional() };
type Where = z.output<z.ZodObject<typeof Filters>>;

/** `GET /jobs` */
export function listJobsRoute(app: App, services: Services): void {
  const list = createLister<Job, Where>(services, {
    index: keys.jobs,
    key: keys.job,
    fromRecord: jobFromRecord,
    fromLedger: async (db, page, { state, kind }) => (await listRows(db, page, { state, kind })).map(jobOf),
    hasEnded: ({ state }) => isTerminal(state),
    outdates: (row, record) => isTerminal(row.state) && !isTerminal(record.state) && row.run >= record.run,
  });
  const route = createRoute({
    method: 'get',
    path: '/jobs',
    operationId: 'listJobs',
    summary: 'Your jobs, newest first',
    security,
    middleware: [limited(services.limiter, 'open')] as const,
    request: { query: queryOf({ ...PageShape, ...Filters }) },
    responses: {
      200: json(Page, 'One page.', { items: [JOB], nextCursor: null }),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { state, kind, ...page } = c.req.valid('query');
    return c.json(await list(c, readPageRequest(page), { state, kind }), 200);
  });
}
