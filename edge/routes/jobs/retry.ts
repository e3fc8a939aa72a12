import { createRoute, z } from '@hono/zod-openapi';
import { AcceptedRetry } from '@warmwind/shared/contract/answers';
import { isId } from '@warmwind/shared/ids';
import type { LimitScope } from '@warmwind/shared/limits';
import { idempotency, SubmitHeaders, submitted } from '../../admission/idempotency.ts';
import { submit } from '../../admission/submit.ts';
import { ACCEPTED_RETRY } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { jsonBody } from '../../http/body.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limitedBySubmission } from '../../limits/charge.ts';
import { finished } from '../../realtime/prefer-wait.ts';
import type { Services } from '../../services.ts';

const SCOPES: LimitScope[] = ['user'];

/** `POST /jobs/:id/retry` */
export function retryJob(app: App, services: Services): void {
  const { config, limiter } = services;
  const route = createRoute({
    method: 'post',
    path: '/jobs/{id}/retry',
    operationId: 'retryJob',
    summary: 'Run a failed, cancelled or timed-out job again',
    description: 'A new `run` of the same job. A start gets a new desktop like the one before.',
    security,
    middleware: [limitedBySubmission(limiter, SCOPES), noQuery, jsonBody] as const,
    request: {
      params: IdParam,
      headers: SubmitHeaders,
      body: json(z.strictObject({}), 'Nothing.', {}),
    },
    responses: {
      ...submitted(AcceptedRetry, ACCEPTED_RETRY),
      ...failures(400, 401, 404, 408, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id)) throw notFound('job');
    const { 'idempotency-key': key, prefer } = c.req.valid('header');
    const job = await submit(c, services, {
      action: 'retry',
      userId: c.get('user').id,
      requestId: c.get('requestId'),
      scopes: SCOPES,
      idempotency: await idempotency(c, key, {}),
      jobId: id,
      quotas: config.QUOTAS,
    });
    const { jobId, run, containerId } = job;
    const ended = await finished(c, services, job, prefer);
    if (ended) return c.json(ended, 200);
    return c.json({ jobId, run, ...(containerId ? { containerId } : {}) }, 202);
  });
}
