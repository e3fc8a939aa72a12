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
      'All that were issued until now. Sockets and event streams that use them are closed; whoever has an API token can make new ones.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery] as const,
    responses: { 204: { description: 'All are revoked.' }, ...failures(400, 401, 429, 503) },
  });
  app.openapi(route, async (c) => {
    await revokeAllTickets(c, redis);
    return c.body(null, 204);
  });
}
