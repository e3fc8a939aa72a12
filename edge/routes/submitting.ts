import { createRoute, z } from '@hono/zod-openapi';
import { Job } from '@warmwind/shared/contract/jobs';
import type { LimitScope } from '@warmwind/shared/contract/limits';
import type { Context } from 'hono';
import { idempotencyOf } from '../admission/idempotency.ts';
import type { AcceptedJob, NewJob, Retry } from '../admission/submission.ts';
import { submit } from '../admission/submit.ts';
import { JOB } from '../docs/examples.ts';
import type { App, AppEnv } from '../env.ts';
import { imageBody, jsonBody } from '../http/body.ts';
import { failures, header, IdParam, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { limitedBySubmission } from '../limits/charge.ts';
import { waitForEnd } from '../realtime/prefer-wait.ts';
import type { Services } from '../services.ts';

export const IdempotencyKey = z
  .string()
  .regex(/^(?!""$)[\x21-\x7e]{1,255}$/, 'use 1-255 visible ASCII characters')
  .optional();

/** The headers of every route that submits. */
export const SubmitHeaders = z.object({
  'idempotency-key': IdempotencyKey.describe(
    'The same key and request gives the same job, which runs once. Kept for 24 hours.',
  ),
  prefer: z
    .string()
    .optional()
    .describe('`wait=N`: answer with the finished job if it ends within N seconds, 10 at most (RFC 7240).'),
});
type SubmitHeaders = z.infer<typeof SubmitHeaders>;

const REPLAYED = {
  'Idempotent-Replayed': header('`true` when the key was used before: this is the job of that request.'),
};
const WAITED = { 'Preference-Applied': header('The seconds of `Prefer: wait` that were applied.') };
const FINISHED = json(Job, 'The finished job, with `Prefer: wait`.', JOB);

/** A route that submits a job. */
type SubmittingRouteOptions = {
  /** The route as the OpenAPI document names it; with `{id}` in its path it has that parameter. */
  route: { method: 'post'; path: string; operationId: string; summary: string; description?: string };
  /** The rate limits that a request consumes. */
  scopes: readonly LimitScope[];
  /** The body of a request, see `json`. */
  body: ReturnType<typeof json>;
  /** A body may be as large as an image. */
  large?: boolean | undefined;
  /** The body of 202, see `json`. */
  accepted: ReturnType<typeof json>;
  /**
   * Builds the submission of a valid request.
   * @throws ApiError when this deployment, or the ids in the request, rule it out
   */
  submission(c: Context<AppEnv>, input: object): Omit<NewJob, 'idempotency'> | Omit<Retry, 'idempotency'>;
  /** The body of 202 for an accepted job. */
  answer(job: AcceptedJob): object;
};

/**
 * Builds a route that submits: it parses, submits, and answers 202 with the accepted job, or with `Prefer:
 * wait` 200 with the finished one.
 */
export function submittingRoute(app: App, services: Services, options: SubmittingRouteOptions): void {
  const { scopes, body, large, accepted, submission, answer } = options;
  const request = { headers: SubmitHeaders, body };
  const route = createRoute({
    ...options.route,
    security,
    middleware: [limitedBySubmission(services.limiter, scopes), noQuery, large ? imageBody : jsonBody],
    request: options.route.path.includes('{id}') ? { ...request, params: IdParam } : request,
    responses: {
      200: { ...FINISHED, headers: { ...REPLAYED, ...WAITED } },
      202: { ...accepted, headers: REPLAYED },
      ...failures(400, 401, 404, 408, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c: Context<AppEnv>) => {
    const { 'idempotency-key': key, prefer } = c.req.valid('header' as never) as SubmitHeaders;
    const input = c.req.valid('json' as never) as object;
    const job = await submit(c, services, {
      ...submission(c, input),
      idempotency: await idempotencyOf(c, key, input),
    });
    const ended = await waitForEnd(c, services, job, prefer);
    return ended ? c.json(ended, 200) : c.json(answer(job), 202);
  });
}
