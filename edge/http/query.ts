import { z } from '@hono/zod-openapi';
import { truncateText } from '@warmwind/shared/runtime/text';
import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../env.ts';
import { badRequest } from './errors.ts';

const NONE_KNOWN = 'unknown parameter: this route has none';

/**
 * Validates the query of a route. An unknown parameter is refused, with the list of known ones: a misspelt
 * filter would filter nothing.
 */
export function queryOf<T extends z.ZodRawShape>(shape: T) {
  const known = Object.keys(shape);
  const message = known.length > 0 ? `unknown parameter: use ${known.join(', ')}` : NONE_KNOWN;
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? message : undefined),
  });
}

/**
 * Refuses every query parameter, on a route without any. It uses no schema, for speed: hardly any submission
 * has a query.
 */
export const noQuery: MiddlewareHandler<AppEnv> = (c, next) => {
  if (!c.req.url.includes('?')) return next();
  const names = Object.keys(c.req.queries()).slice(0, 20);
  if (names.length === 0) return next();
  throw badRequest(names.map((name) => ({ path: truncateText(name, 64), message: NONE_KNOWN })));
};
