import { createMiddleware } from 'hono/factory';
import { subjectOf } from '../auth/ticket.ts';
import type { Rates } from '../shares.ts';
import type { HttpEnv } from './http.ts';

/** Counts requests as lookups of their subject, together with its sockets. Runs after `guard`. */
export const share = (lookups: Rates) =>
  createMiddleware<HttpEnv>(async (c, next) => {
    lookups.take(subjectOf(c.var.ticket));
    await next();
  });
