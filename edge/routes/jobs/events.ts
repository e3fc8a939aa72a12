import { createRoute, z } from '@hono/zod-openapi';
import { schemaRef } from '@warmwind/shared/contract/event-schemas';
import { isEventId } from '@warmwind/shared/events';
import { isId } from '@warmwind/shared/ids';
import { TICKET_MAX_SECONDS } from '@warmwind/shared/realtime';
import { EVENTS } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { notFound, unavailable } from '../../http/errors.ts';
import { failureOf } from '../../http/failure.ts';
import { log } from '../../http/log.ts';
import { failures, IdParam, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { refusalOf } from '../../realtime/relay.ts';
import { findJob } from '../../records/find-job.ts';
import type { Services } from '../../services.ts';

/** Each event of the stream has its envelope as `data`. */
const STREAM_SCHEMA = {
  type: 'string',
  contentMediaType: 'text/event-stream',
  contentSchema: {
    type: 'object',
    properties: {
      id: { type: 'string' },
      event: { type: 'string' },
      data: {
        type: 'string',
        contentMediaType: 'application/json',
        contentSchema: { $ref: schemaRef('Event') },
      },
    },
  },
} as const;

/** Proxies in front must hand it on as it comes. */
const STREAM = { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' };

/** `GET /jobs/:id/events`: the relay's stream, passed on. */
export function jobEventsRoute(app: App, services: Services): void {
  const { limiter, relay } = services;
  const route = createRoute({
    method: 'get',
    path: '/jobs/{id}/events',
    operationId: 'jobEvents',
    summary: "A job's events as they happen",
    description:
      'Server-sent events: `id`, `event` (the type) and `data` (the envelope). Ends after the terminal event of the latest run; a client that comes back with its id gets 204, at which an EventSource stops. Ends with the token that asked for it.',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    request: {
      params: IdParam,
      headers: z.object({
        'last-event-id': z
          .string()
          .refine((id) => id === '' || isEventId(id), 'use the id of an event as it came')
          .optional()
          .describe('The last event already known: the stream goes on after it.'),
      }),
    },
    responses: {
      200: {
        description: 'The stream.',
        content: { 'text/event-stream': { schema: STREAM_SCHEMA, example: EVENTS } },
      },
      204: { description: 'The job has ended, and `Last-Event-ID` is its last event: do not reconnect.' },
      ...failures(400, 401, 404, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id) || !(await findJob(c, services, id))) throw notFound('job');
    if (c.req.method === 'HEAD') return c.body('', 200, STREAM);
    const { id: user, expiresAt: notAfter } = c.get('user');
    const after = c.req.valid('header')['last-event-id'] || undefined;
    const answer = await relay
      .events(user, id, after, { ttlSeconds: TICKET_MAX_SECONDS, notAfter })
      .catch((error: unknown) => {
        log.warn('the relay did not answer', { requestId: c.get('requestId'), ...failureOf(error) });
        throw unavailable('Events can not be read now: retry, or ask for the job.');
      });
    if (answer.status === 200) return c.body(answer.body ?? '', 200, STREAM);
    if (answer.status === 429) throw await refusalOf(answer);
    await answer.body?.cancel();
    if (answer.status === 204) return c.body(null, 204);
    if (answer.status === 404) throw notFound('job');
    log.warn('the relay refused', { requestId: c.get('requestId'), status: answer.status });
    throw unavailable('Events can not be read now: retry, or ask for the job.');
  });
}
