import { createRoute } from '@hono/zod-openapi';
import { pageOf } from '@warmwind/shared/contract/answers';
import { Job } from '@warmwind/shared/contract/jobs';
import { JOB } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { failures, json, security } from '../../http/openapi.ts';
import { queryOf } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { JobFilters, jobLister } from '../../lists/jobs.ts';
import { LabelShape, readLabels } from '../../lists/labels.ts';
import { PageShape, readPageRequest } from '../../lists/query.ts';
import type { Services } from '../../services.ts';

const Page = pageOf(Job).meta({ id: 'JobPage' });

/** `GET /jobs` */
export function listJobsRoute(app: App, services: Services): void {
  const lister = jobLister(services);
  const route = createRoute({
    method: 'get',
    path: '/jobs',
    operationId: 'listJobs',
    summary: 'Your jobs, newest first',
    security,
    middleware: [limited(services.limiter, 'open')] as const,
    request: { query: queryOf({ ...PageShape, ...JobFilters, ...LabelShape }) },
    responses: {
      200: json(Page, 'One page.', { items: [JOB], nextCursor: null }),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { state, kind, label, ...page } = c.req.valid('query');
    const where = { fields: { state, kind }, labels: readLabels({ label }) };
    return c.json(await lister.list(c, readPageRequest(page), where), 200);
  });
}
