import { createRoute } from '@hono/zod-openapi';
import { Accepted } from '@warmwind/shared/contract/answers';
import { isId } from '@warmwind/shared/contract/ids';
import { cancelJob } from '../../cancellation/cancel-job.ts';
import { ACCEPTED } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import type { Services } from '../../services.ts';

/** `DELETE /jobs/:id` */
export function cancelJobRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/jobs/{id}',
    operationId: 'cancelJob',
    summary: 'Cancel a waiting or running job',
    description: 'If the job ends at the same time, the end that comes first counts.',
    security,
    middleware: [limited(services.limiter, 'closed'), noQuery] as const,
    request: { params: IdParam },
    responses: {
      202: json(Accepted, 'The job is cancelled; its worker is stopping it.', ACCEPTED),
      ...failures(400, 401, 404, 409, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id)) throw notFound('job');
    await cancelJob(c, services, id);
    return c.json({ jobId: id }, 202);
  });
}
