import { createRoute } from '@hono/zod-openapi';
import { isId } from '@warmwind/shared/ids';
import { Job, jobFromRecord } from '@warmwind/shared/jobs';
import { keys } from '@warmwind/shared/keys';
import type { App } from '../env.ts';
import { notFound } from '../http/errors.ts';
import { failures, IdParam, json, security } from '../http/openapi.ts';
import { limited } from '../limits/charge.ts';
import { readRecord } from '../redis/record.ts';
import type { Services } from '../services.ts';

/** `GET /jobs/:id` */
export function getJob(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/jobs/{id}',
    operationId: 'getJob',
    summary: 'One of your jobs',
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: { params: IdParam },
    responses: { 200: json(Job, 'The job.'), ...failures(401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id)) throw notFound('job');
    const job = jobFromRecord(await readRecord(redis, keys.job(c.get('user').id, id)));
    if (!job) throw notFound('job');
    return c.json(job, 200);
  });
}
