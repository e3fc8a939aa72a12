import type { MiddlewareHandler } from 'hono';
import { secureHeaders } from 'hono/secure-headers';
import type { AppEnv } from '../env.ts';

/** An answer is not stored, framed or taken for something else, unless its route says otherwise. */
export const safeHeaders = (): MiddlewareHandler<AppEnv> => {
  const secure = secureHeaders({
    xFrameOptions: 'DENY',
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  return async (c, next) => {
    c.header('Cache-Control', 'no-store');
    c.header('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'");
    await secure(c, next);
    // Older browsers' form of the same: it knows no list of those who may.
    const policy = c.res.headers.get('Content-Security-Policy') ?? '';
    if (!policy.includes("frame-ancestors 'none'")) c.res.headers.delete('X-Frame-Options');
  };
};
