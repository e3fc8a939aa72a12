import type { MiddlewareHandler } from 'hono';
import { secureHeaders } from 'hono/secure-headers';
import type { AppEnv } from '../env.ts';

/** Forbids to store, frame or sniff an answer, unless its route permits it. */
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
    // The same for older browsers, which know no list of permitted origins.
    const policy = c.res.headers.get('Content-Security-Policy') ?? '';
    if (!policy.includes("frame-ancestors 'none'")) c.res.headers.delete('X-Frame-Options');
  };
};
