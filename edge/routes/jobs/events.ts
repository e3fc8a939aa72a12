import { createRoute, z } from '@hono/zod-openapi';
import { schemaRef } from '@warmwind/shared/contract/event-schemas';
import { isId } from '@warmwind/shared/contract/ids';
import { isEventId } from '@warmwind/shared/contract/rooms';
import { EVENTS } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { openJobEvents } from '../../realtime/job-events.ts';
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

/** Proxies in front must not buffer the stream. */
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
      'Server-sent events: `id`, `event` (the type) and `data` (the envelope). Ends after the terminal event of the latest run; a client that reconnects with its id gets 204, at which an EventSource stops. Ends with the token that asked for it.',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    request: {
      params: IdParam,
      headers: z.object({
        'last-event-id': z
          .string()
          .refine((id) => id === '' || isEventId(id), 'use the id of an event unchanged')
          .optional()
          .describe('The id of the last event received: the stream continues after it.'),
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
    const after = c.req.valid('header')['last-event-id'] || undefined;
    const stream = await openJobEvents(c, relay, id, after);
    return stream ? c.body(stream, 200, STREAM) : c.body(null, 204);
  });
}
