import type { ServerResponse } from 'node:http';
import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { type Context, Hono } from 'hono';
import { requestId } from 'hono/request-id';

/** The context of a request: its id in logs, its verified ticket, and Node's response object. */
export type HttpEnv = {
  Bindings: { outgoing: ServerResponse };
  Variables: { requestId: string; ticket: TicketClaims };
};
export type Http = Hono<HttpEnv>;

/** Creates an app that answers every failure with the flat error body. */
export function createHttp(log: Logger): Http {
  const app: Http = new Hono();
  app.use(requestId({ limitLength: 64, generator: newId }));
  app.notFound((c) => failure(c, new ApiError('not_found', 'There is nothing at this address.')));
  app.onError((error, c) => {
    if (error instanceof ApiError) return failure(c, error);
    log.error({ requestId: c.get('requestId'), err: error }, 'a request failed');
    return failure(c, new ApiError('internal', 'Something failed here: try again.'));
  });
  return app;
}

function failure(c: Context<HttpEnv>, error: ApiError): Response {
  c.header('Cache-Control', 'no-store');
  const { retryAfterMs } = error.details;
  if (retryAfterMs !== undefined) c.header('Retry-After', `${Math.ceil(retryAfterMs / 1000)}`);
  if (error.code === 'unauthenticated') c.header('WWW-Authenticate', 'Bearer realm="warmwind-relay"');
  return c.json(error.body(c.get('requestId')), error.status);
}
