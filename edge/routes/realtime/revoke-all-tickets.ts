import { createRoute } from '@hono/zod-openapi';
import type { App } from '../../env.ts';
import { failures, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { revokeAllTickets } from '../../realtime/revoked.ts';
import type { Services } from '../../services.ts';

/** `DELETE /realtime/tokens` */
export function revokeAllTicketsRoute(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/realtime/tokens',
    operationId: 'revokeAllTickets',
    summary: 'Revoke all of your tickets and share links',
    description:
      'Revokes every ticket issued until now, and closes the sockets and event streams that use them. A client with an API token can create new ones.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery] as const,
    responses: { 204: { description: 'All tickets are revoked.' }, ...failures(400, 401, 429, 503) },
  });
  app.openapi(route, async (c) => {
    await revokeAllTickets(c, redis);
    return c.body(null, 204);
  });
}
