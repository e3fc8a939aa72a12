import { ApiError } from '@warmwind/shared/contract/errors';
import { limitSubject } from '@warmwind/shared/runtime/address';
import { createMiddleware } from 'hono/factory';
import type { Config } from '../config.ts';
import type { AppEnv } from '../env.ts';
import { clientIp } from '../http/client-ip.ts';
import { RequestThrottle, type ThrottleOptions } from './request-throttle.ts';

/** The rate of an address for files that need no token. A page of the console loads up to six. */
const OPEN_FILES: ThrottleOptions = { perSecond: 20, burst: 60 };
/** The rate of a user for requests that no limit counts. */
const UNCOUNTED_REQUESTS: ThrottleOptions = { perSecond: 10, burst: 20 };

/** Spreads the requests of an address to routes without a token over time, without the limiter. */
export const throttledByAddress = ({ TRUSTED_PROXIES }: Config, throttle = new RequestThrottle(OPEN_FILES)) =>
  createMiddleware<AppEnv>(async (c, next) => {
    await waitForTurn(throttle, limitSubject(clientIp(c.req.raw.headers, TRUSTED_PROXIES)));
    await next();
  });

/** Spreads the requests of a user to a route without a limit over time. */
export const throttledByUser = (throttle = new RequestThrottle(UNCOUNTED_REQUESTS)) =>
  createMiddleware<AppEnv>(async (c, next) => {
    await waitForTurn(throttle, c.get('user').id);
    await next();
  });

async function waitForTurn(throttle: RequestThrottle, subject: string): Promise<void> {
  if (await throttle.wait(subject)) return;
  throw new ApiError('rate_limited', 'Too many requests wait here: try again in 1 second.', {
    retryAfterMs: 1000,
  });
}
