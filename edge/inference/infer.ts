import { createRoute, z } from '@hono/zod-openapi';
import { notRunning } from '@warmwind/shared/containers';
import { ApiError } from '@warmwind/shared/errors';
import { InferenceRequest } from '@warmwind/shared/inference';
import type { Context } from 'hono';
import { findContainer } from '../containers/find.ts';
import { ACCEPTED, ASK } from '../docs/examples.ts';
import type { App, AppEnv } from '../env.ts';
import { imageBody } from '../http/body.ts';
import { badRequest, notFound } from '../http/errors.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { idempotency, SubmitHeaders, submitted } from '../jobs/idempotency.ts';
import { finished } from '../jobs/wait.ts';
import { webhookIssues } from '../jobs/webhook.ts';
import { limitedBySubmission } from '../limits/charge.ts';
import type { Services } from '../services.ts';
import { pictureIssues } from './picture.ts';
import { INFERENCE_SCOPES, submitInference } from './submit.ts';

/** `POST /inference` */
export function infer(app: App, services: Services): void {
  const { config, limiter } = services;
  const route = createRoute({
    method: 'post',
    path: '/inference',
    operationId: 'infer',
    summary: 'Ask a model',
    security,
    middleware: [limitedBySubmission(limiter, INFERENCE_SCOPES), noQuery, imageBody] as const,
    request: {
      headers: SubmitHeaders,
      body: json(
        InferenceRequest,
        'A prompt or messages for a language model; for `ocr-eng` an image (base64), or the desktop to read.',
        ASK,
      ),
    },
    responses: {
      ...submitted(z.object({ jobId: z.string() }), ACCEPTED),
      ...failures(400, 401, 404, 408, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const request = c.req.valid('json');
    const { webhookUrl, timeoutMs, ...input } = request;
    const issues = [...webhookIssues(webhookUrl, config), ...pictureIssues(input.image)];
    if (issues.length > 0) throw badRequest(issues);
    if (input.containerId !== undefined) await runningDesktop(c, services, input.containerId);
    const { 'idempotency-key': key, prefer } = c.req.valid('header');
    const job = await submitInference(c, services, {
      input,
      idempotency: await idempotency(c, key, request),
      webhookUrl,
      timeoutMs,
    });
    const ended = await finished(c, services, job, prefer);
    return ended ? c.json(ended, 200) : c.json({ jobId: job.jobId }, 202);
  });
}

/** What is to be read must be the caller's, and show something. */
async function runningDesktop(c: Context<AppEnv>, services: Services, id: string): Promise<void> {
  const desktop = await findContainer(c, services, id);
  if (!desktop) throw notFound('desktop');
  if (desktop.state === 'running') return;
  throw new ApiError('conflict', notRunning(desktop.state));
}
