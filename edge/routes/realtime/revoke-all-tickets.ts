import { createRoute } from '@hono/zod-openapi';
import { keys } from '@warmwind/shared/keys';
import { TICKET_MAX_SECONDS } from '@warmwind/shared/realtime';
import type { App } from '../../env.ts';
import { failures, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { publishRevoked, revoke } from '../../realtime/revoked.ts';
import type { Services } from '../../services.ts';

/** `DELETE /realtime/tokens` */
export function revokeAllTicketsRoute(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/realtime/tokens',
    operationId: 'revokeAllTickets',
    summary: 'Revoke all of your tickets and share links',
    description:
      'All that were issued until now. Sockets and event streams that use them are closed; whoever has an API token can make new ones.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery] as const,
    responses: { 204: { description: 'All are revoked.' }, ...failures(400, 401, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const userId = c.get('user').id;
    const before = Date.now();
    const trip = redis
      .pipeline()
      .set(keys.revokedBefore(userId), `${before}`, { px: TICKET_MAX_SECONDS * 1000 })
      .del(keys.shareLinks(userId));
    await revoke(c, publishRevoked(trip, { userId, before }));
    return c.body(null, 204);
  });
}
