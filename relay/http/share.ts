import { createMiddleware } from 'hono/factory';
import { subjectOf } from '../auth/ticket.ts';
import type { Rates } from '../shares.ts';
import type { HttpEnv } from './http.ts';

/** Counts requests with the lookups of their subject's sockets. Behind `guard`. */
export const share = (lookups: Rates) =>
  createMiddleware<HttpEnv>(async (c, next) => {
    lookups.take(subjectOf(c.var.ticket));
    await next();
  });
