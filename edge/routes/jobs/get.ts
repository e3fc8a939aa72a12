import { createRoute } from '@hono/zod-openapi';
import { Job } from '@warmwind/shared/contract/jobs';
import { JOB } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { findJob } from '../../records/find-job.ts';
import type { Services } from '../../services.ts';

/** `GET /jobs/:id` */
export function getJobRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/jobs/{id}',
    operationId: 'getJob',
    summary: 'One of your jobs',
    security,
    middleware: [limited(services.limiter, 'open'), noQuery] as const,
    request: { params: IdParam },
    responses: { 200: json(Job, 'The job.', JOB), ...failures(400, 401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const job = await findJob(c, services, c.req.valid('param').id);
    if (!job) throw notFound('job');
    return c.json(job, 200);
  });
}
