import { createRoute, z } from '@hono/zod-openapi';
import { InferenceRequest } from '@warmwind/shared/inference';
import { Job } from '@warmwind/shared/jobs';
import type { LimitScope } from '@warmwind/shared/limits';
import { PRIORITY_CLASS } from '@warmwind/shared/queues';
import type { App } from '../env.ts';
import { imageBody, MAX_IMAGE_BODY_BYTES, tooLarge } from '../http/body.ts';
import { badRequest } from '../http/errors.ts';
import { failures, json, security } from '../http/openapi.ts';
import { idempotency, SubmitHeaders } from '../jobs/idempotency.ts';
import { submit } from '../jobs/submit.ts';
import { finished } from '../jobs/wait.ts';
import { webhookIssues } from '../jobs/webhook.ts';
import { limitedBySubmission } from '../limits/charge.ts';
import type { Services } from '../services.ts';

const SCOPES: LimitScope[] = ['user'];

/** `POST /inference` */
export function infer(app: App, services: Services): void {
  const { config, limiter } = services;
  const route = createRoute({
    method: 'post',
    path: '/inference',
    operationId: 'infer',
    summary: 'Ask a model',
    security,
    middleware: [limitedBySubmission(limiter, SCOPES), imageBody] as const,
    request: {
      headers: SubmitHeaders,
      body: json(
        InferenceRequest,
        'A prompt or messages for a language model, an image (base64) for `ocr-eng`.',
      ),
    },
    responses: {
      200: json(Job, 'The finished job, if it was waited for.'),
      202: json(z.object({ jobId: z.string() }), 'Accepted.'),
      ...failures(400, 401, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const request = c.req.valid('json');
    const { webhookUrl, timeoutMs, ...input } = request;
    const issues = webhookIssues(webhookUrl, config);
    if (issues.length > 0) throw badRequest(issues);
    const { 'idempotency-key': key, prefer } = c.req.valid('header');
    const job = await submit(c, services, {
      action: 'inference',
      kind: 'inference',
      queue: 'ai-inference',
      userId: c.get('user').id,
      requestId: c.get('requestId'),
      scopes: SCOPES,
      idempotency: await idempotency(c, key, request),
      containerId: '',
      webhookUrl,
      timeoutMs,
      input: written(input),
      priorityClass: config.PREMIUM_MODELS.includes(input.model)
        ? PRIORITY_CLASS.premium
        : PRIORITY_CLASS.other,
      quotas: config.QUOTAS,
    });
    const ended = await finished(c, services, job, prefer);
    return ended ? c.json(ended, 200) : c.json({ jobId: job.jobId }, 202);
  });
}

/** JSON that is no larger than a body may be, whatever was made of what is no UTF-8. */
function written(input: unknown): string {
  const text = JSON.stringify(input);
  if (new TextEncoder().encode(text).byteLength > MAX_IMAGE_BODY_BYTES) throw tooLarge(MAX_IMAGE_BODY_BYTES);
  return text;
}
