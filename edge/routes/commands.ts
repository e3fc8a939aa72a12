import { createRoute } from '@hono/zod-openapi';
import { Accepted, AcceptedContainers } from '@warmwind/shared/contract/answers';
import type { JobCommand } from '@warmwind/shared/contract/command';
import { JOB_COMMANDS, type JobKind } from '@warmwind/shared/contract/registry';
import type { Context } from 'hono';
import { idempotency, SubmitHeaders, submitted } from '../admission/idempotency.ts';
import { prepare } from '../admission/prepare.ts';
import { submit } from '../admission/submit.ts';
import { ACCEPTED, ACCEPTED_START } from '../docs/examples.ts';
import type { App, AppEnv } from '../env.ts';
import { imageBody, jsonBody } from '../http/body.ts';
import { failures, IdParam, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { limitedBySubmission } from '../limits/charge.ts';
import { finished } from '../realtime/prefer-wait.ts';
import type { Services } from '../services.ts';

/** A route for every command that becomes a job: `POST /containers/start`, `POST /inference`, … */
export function commandRoutes(app: App, services: Services): void {
  for (const command of JOB_COMMANDS) commandRoute(app, services, command);
}

function commandRoute(app: App, services: Services, command: JobCommand<JobKind>): void {
  const { http, input, example, container, limits, large } = command;
  const middleware = [limitedBySubmission(services.limiter, limits), noQuery, large ? imageBody : jsonBody];
  const request = { headers: SubmitHeaders, body: json(input, http.body, example) };
  const { body: _, ...about } = http;
  const route = createRoute({
    ...about,
    security,
    middleware,
    request: container === 'path' ? { ...request, params: IdParam } : request,
    responses: {
      ...(container === 'creates'
        ? submitted(AcceptedContainers, ACCEPTED_START)
        : submitted(Accepted, ACCEPTED)),
      ...failures(400, 401, 404, 408, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c: Context<AppEnv>) => {
    const { 'idempotency-key': key, prefer } = c.req.valid('header' as never) as SubmitHeaders;
    const request = c.req.valid('json' as never) as object;
    const job = await submit(c, services, {
      ...prepare(c, services, command, request),
      idempotency: await idempotency(c, key, request),
    });
    const ended = await finished(c, services, job, prefer);
    if (ended) return c.json(ended, 200);
    const { jobId, containerId, containerIds } = job;
    if (container !== 'creates') return c.json({ jobId }, 202);
    return c.json({ jobId, containerId, ...(containerIds ? { containerIds } : {}) }, 202);
  });
}
