import { createRoute, z } from '@hono/zod-openapi';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { revokeTicket } from '../../realtime/revoked.ts';
import type { Services } from '../../services.ts';

/** `DELETE /realtime/tokens/:id` */
export function revokeTicketRoute(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/realtime/tokens/{id}',
    operationId: 'revokeTicket',
    summary: 'Revoke a ticket or share link',
    description:
      'Connections that use it are closed. Tickets are not stored: an id that was never issued is no error. `GET /realtime/tokens` lists the share links.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery] as const,
    request: { params: IdParam },
    responses: {
      204: { description: 'The ticket is no longer valid.' },
      ...failures(400, 401, 404, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const ticketId = c.req.valid('param').id;
    if (!z.uuid().safeParse(ticketId).success) throw notFound('ticket');
    await revokeTicket(c, redis, ticketId);
    return c.body(null, 204);
  });
}
