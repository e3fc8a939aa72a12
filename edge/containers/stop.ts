import { createRoute, z } from '@hono/zod-openapi';
import { isId } from '@warmwind/shared/ids';
import type { LimitScope } from '@warmwind/shared/limits';
import type { App } from '../env.ts';
import { jsonBody } from '../http/body.ts';
import { notFound } from '../http/errors.ts';
import { failures, IdParam, json, security } from '../http/openapi.ts';
import { idempotency, SubmitHeaders } from '../jobs/idempotency.ts';
import { submit } from '../jobs/submit.ts';
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
    middleware: [limitedBySubmission(services.limiter, SCOPES), jsonBody] as const,
    request: { params: IdParam, headers: SubmitHeaders, body: json(z.strictObject({}), 'Nothing.') },
    responses: {
      202: json(z.object({ jobId: z.string() }), 'Accepted.'),
      ...failures(400, 401, 404, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id)) throw notFound('desktop');
    const key = c.req.valid('header')['idempotency-key'];
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
    return c.json({ jobId: job.jobId }, 202);
  });
}
