import { createRoute } from '@hono/zod-openapi';
import { Ticket, TicketRequest } from '@warmwind/shared/contract/tickets';
import { SHARE, TICKET } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { jsonBody } from '../../http/body.ts';
import { notFound } from '../../http/errors.ts';
import { failures, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { createTickets } from '../../realtime/ticket.ts';
import { findContainer } from '../../records/find-container.ts';
import type { Services } from '../../services.ts';

/** `POST /realtime/token` */
export function createTicketRoute(app: App, services: Services): void {
  const { config, limiter, shareLinks } = services;
  const sign = createTickets(config.AUTH_SECRET);
  const route = createRoute({
    method: 'post',
    path: '/realtime/token',
    operationId: 'createTicket',
    summary: 'A ticket for the relay, for yourself or to share one desktop',
    description:
      'It expires at `expiresAt`, at the latest with the API token of this request. Its connections are closed then.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery, jsonBody] as const,
    request: { body: json(TicketRequest, 'All optional.', SHARE) },
    responses: {
      200: json(Ticket, 'The ticket.', TICKET),
      ...failures(400, 401, 404, 408, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { containerId, mode, ttlSeconds } = c.req.valid('json');
    const { id: user, expiresAt: notAfter } = c.get('user');
    if (containerId !== undefined && !(await findContainer(c, services, containerId)))
      throw notFound('desktop');

    const claims = { sub: user, mode, ...(containerId ? { containerId } : {}) };
    const { id, token, exp } = await sign(claims, { ttlSeconds, notAfter });
    const expiresAt = new Date(exp * 1000).toISOString();
    if (containerId !== undefined) {
      await shareLinks.add(user, { id, containerId, mode, createdAt: new Date().toISOString(), expiresAt });
    }
    return c.json({ id, token, url: config.RELAY_URL, expiresAt }, 200);
  });
}
