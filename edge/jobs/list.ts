import { createRoute, z } from '@hono/zod-openapi';
import { JOB_KINDS, JOB_STATES, Job, jobFromRecord } from '@warmwind/shared/jobs';
import { keys } from '@warmwind/shared/keys';
import type { App } from '../env.ts';
import { failures, json, security } from '../http/openapi.ts';
import { limited } from '../limits/charge.ts';
import { createPager, PageQuery } from '../redis/page.ts';
import type { Services } from '../services.ts';

/** `GET /jobs` */
export function listJobs(app: App, { limiter, redis }: Services): void {
  const page = createPager(redis);
  const route = createRoute({
    method: 'get',
    path: '/jobs',
    operationId: 'listJobs',
    summary: 'Your jobs, newest first',
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: {
      query: PageQuery.extend({ state: z.enum(JOB_STATES).optional(), kind: z.enum(JOB_KINDS).optional() }),
    },
    responses: {
      200: json(z.object({ items: z.array(Job), nextCursor: z.string().nullable() }), 'One page.'),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { state, kind, cursor, limit } = c.req.valid('query');
    const user = c.get('user').id;
    const { records, nextCursor } = await page({
      index: keys.jobs(user),
      prefix: keys.job(user, ''),
      limit,
      cursor,
      where: { state, kind },
    });
    const items = records.flatMap((record) => jobFromRecord(record) ?? []);
    return c.json({ items, nextCursor }, 200);
  });
}
