import { createRoute, z } from '@hono/zod-openapi';
import { keys } from '@warmwind/shared/keys';
import { TICKET_MAX_SECONDS } from '@warmwind/shared/realtime';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { publishRevoked, revoke } from '../../realtime/revoked.ts';
import type { Services } from '../../services.ts';

/** `DELETE /realtime/tokens/:id` */
export function revokeTicketRoute(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/realtime/tokens/{id}',
    operationId: 'revokeTicket',
    summary: 'Revoke a ticket or share link',
    description:
      'Connections that use it are closed. Tickets are not kept: an id that was never issued is no error. `GET /realtime/tokens` lists the share links.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery] as const,
    request: { params: IdParam },
    responses: { 204: { description: 'It is good no longer.' }, ...failures(400, 401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const ticketId = c.req.valid('param').id;
    if (!z.uuid().safeParse(ticketId).success) throw notFound('ticket');
    const userId = c.get('user').id;
    const key = keys.revoked(userId);
    const now = Date.now();
    // Nobody knows when it would have expired: no ticket outlives this.
    const until = now + TICKET_MAX_SECONDS * 1000;
    const trip = redis
      .pipeline()
      .zremrangebyscore(key, 0, now)
      .zadd(key, { score: until, member: ticketId })
      .pexpireat(key, until)
      .hdel(keys.shareLinks(userId), ticketId);
    await revoke(c, publishRevoked(trip, { userId, ticketId }));
    return c.body(null, 204);
  });
}
