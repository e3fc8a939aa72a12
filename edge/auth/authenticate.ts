import { ApiError } from '@warmwind/shared/contract/errors';
import { limitSubject } from '@warmwind/shared/runtime/address';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../env.ts';
import { clientIp } from '../http/client-ip.ts';
import { charge } from '../limits/charge.ts';
import type { Services } from '../services.ts';

/** Authenticates a request. A request without a valid token is limited by its address. */
export const authenticate = ({ config, limiter, verifyToken }: Services) =>
  createMiddleware<AppEnv>(async (c, next) => {
    try {
      c.set('user', await verifyToken(bearer(c.req.header('Authorization'))));
    } catch (error) {
      if (error instanceof ApiError && error.code === 'unauthenticated') {
        const address = limitSubject(clientIp(c.req.raw.headers, config.TRUSTED_PROXIES));
        await charge(c, limiter, address, ['ip'], 'open');
      }
      throw error;
    }
    await next();
  });

function bearer(header: string | undefined): string {
  const token = /^Bearer[ \t]+(\S+)$/i.exec(header ?? '')?.[1];
  if (!token) throw new ApiError('unauthenticated', 'Send a token: Authorization: Bearer <token>.');
  return token;
}
