import { createRoute, z } from '@hono/zod-openapi';
import { isId } from '@warmwind/shared/ids';
import type { LimitScope } from '@warmwind/shared/limits';
import { ACCEPTED } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { jsonBody } from '../http/body.ts';
import { notFound } from '../http/errors.ts';
import { failures, IdParam, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { idempotency, SubmitHeaders, submitted } from '../jobs/idempotency.ts';
import { submit } from '../jobs/submit.ts';
import { finished } from '../jobs/wait.ts';
import { limitedBySubmission } from '../limits/charge.ts';
import type { Services } from '../services.ts';

const SCOPES: LimitScope[] = ['user'];

/** `POST /containers/:id/stop` */
export function stopContainer(app: App, services: Services): void {
  const route = createRoute({
    method: 'post',
    path: '/containers/{id}/stop',
    operationId: 'stopContainer',
    summary: 'Stop a desktop, or cancel its start',
    security,
    middleware: [limitedBySubmission(services.limiter, SCOPES), noQuery, jsonBody] as const,
    request: {
      params: IdParam,
      headers: SubmitHeaders,
      body: json(z.strictObject({}), 'Nothing.', {}),
    },
    responses: {
      ...submitted(z.object({ jobId: z.string() }), ACCEPTED),
      ...failures(400, 401, 404, 408, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id)) throw notFound('desktop');
    const { 'idempotency-key': key, prefer } = c.req.valid('header');
    const job = await submit(c, services, {
      action: 'stop',
      kind: 'container.stop',
      queue: 'containers',
      userId: c.get('user').id,
      requestId: c.get('requestId'),
      scopes: SCOPES,
      idempotency: await idempotency(c, key, {}),
      containerId: id,
    });
    const ended = await finished(c, services, job, prefer);
    return ended ? c.json(ended, 200) : c.json({ jobId: job.jobId }, 202);
  });
}
