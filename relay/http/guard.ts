import { ApiError } from '@warmwind/shared/contract/errors';
import { createMiddleware } from 'hono/factory';
import type { VerifyTicket } from '../auth/ticket.ts';
import { refuseRequest } from '../draining.ts';
import type { Metrics } from '../metrics.ts';
import type { HttpEnv } from './http.ts';

/** Admits requests by their ticket, `Authorization: Bearer <ticket>`, unless the node is draining. */
export const guard = (verify: VerifyTicket, draining: () => boolean, metrics: Metrics) =>
  createMiddleware<HttpEnv>(async (c, next) => {
    if (draining()) return refuseRequest(c);
    const [, token] = /^Bearer +([^ ]+)$/i.exec(c.req.header('Authorization') ?? '') ?? [];
    const ticket = await verify(token);
    if (!ticket) {
      metrics.refused.inc({ reason: 'unauthenticated' });
      throw new ApiError(
        'unauthenticated',
        'Fetch a relay ticket from POST /realtime/token and send it as Authorization: Bearer.',
      );
    }
    c.set('ticket', ticket);
    await next();
  });
