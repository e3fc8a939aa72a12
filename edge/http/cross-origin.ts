import { isAllowedOrigin } from '@warmwind/shared/runtime/origins';
import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import type { Config } from '../config.ts';
import type { AppEnv } from '../env.ts';
import { CALL_HEADERS, CALL_METHODS } from '../routes/calls.ts';
import { FILE_HEADERS } from '../routes/containers/files.ts';

/** Headers that requests to this API use. */
const HEADERS = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'Last-Event-ID',
  'Prefer',
  'X-Request-Id',
];
const METHODS = [...new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', ...CALL_METHODS])];
/** A header name; and how many more of them one preflight may request. */
const NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;
const MAX_ASKED = 64;

/**
 * Permits cross-origin requests by the configured origins. Stock SDKs send headers of their own
 * (`x-stainless-*`), so a permitted page may send any header it requests: only `Authorization` grants
 * anything.
 */
export const crossOrigin = ({ CORS_ORIGINS }: Config): MiddlewareHandler<AppEnv> => {
  const allow = cors({
    origin: (origin) => (isAllowedOrigin(origin, CORS_ORIGINS) ? origin : null),
    allowMethods: METHODS,
    allowHeaders: HEADERS,
    exposeHeaders: [
      'Allow',
      'Content-Disposition',
      'Content-Length',
      'ETag',
      'Idempotent-Replayed',
      'Location',
      'Preference-Applied',
      'RateLimit',
      'RateLimit-Policy',
      'Retry-After',
      'WWW-Authenticate',
      'X-RateLimit-Limit',
      'X-RateLimit-Remaining',
      'X-RateLimit-Reset',
      'X-Request-Id',
      ...new Set([...CALL_HEADERS, ...FILE_HEADERS]),
    ],
    maxAge: 600,
  });
  return async (c, next) => {
    if (c.req.header('Origin') === undefined && c.req.method !== 'OPTIONS') {
      c.header('Vary', 'Origin');
      return next();
    }
    const preflight = await allow(c, next);
    const asked = askedHeaders(c.req.header('Access-Control-Request-Headers'));
    if (!preflight?.headers.has('Access-Control-Allow-Origin') || asked.length === 0) return preflight;
    // Set on the context: its headers replace those of the returned response.
    c.res.headers.set('Access-Control-Allow-Headers', [...HEADERS, ...asked].join(','));
    return preflight;
  };
};

/** The headers that a preflight requests beyond those that are always allowed. */
function askedHeaders(text = ''): string[] {
  const names = text.split(',', MAX_ASKED).map((name) => name.trim());
  const known = new Set(HEADERS.map((name) => name.toLowerCase()));
  return names.filter((name) => NAME.test(name) && !known.has(name.toLowerCase()));
}
