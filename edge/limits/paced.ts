import { ApiError } from '@warmwind/shared/contract/errors';
import { limitSubject } from '@warmwind/shared/runtime/address';
import { createMiddleware } from 'hono/factory';
import type { Config } from '../config.ts';
import type { AppEnv } from '../env.ts';
import { clientIp } from '../http/client-ip.ts';
import { BandwidthController, type PaceOptions } from './pace.ts';

/** The pace of an address for files that need no token. A page of the console loads up to six. */
const FILES: PaceOptions = { perSecond: 20, burst: 60 };
/** The pace of a user for requests that no limit counts. */
const LOOKS: PaceOptions = { perSecond: 10, burst: 20 };

/** Spreads the requests of an address to routes without a token over time, without the limiter. */
export const pacedByAddress = ({ TRUSTED_PROXIES }: Config, pace = new BandwidthController(FILES)) =>
  createMiddleware<AppEnv>(async (c, next) => {
    await turn(pace, limitSubject(clientIp(c.req.raw.headers, TRUSTED_PROXIES)));
    await next();
  });

/** Spreads the requests of a user to a route without a limit over time. */
export const pacedByUser = (pace = new BandwidthController(LOOKS)) =>
  createMiddleware<AppEnv>(async (c, next) => {
    await turn(pace, c.get('user').id);
    await next();
  });

async function turn(pace: BandwidthController, subject: string): Promise<void> {
  if (await pace.wait(subject)) return;
  throw new ApiError('rate_limited', 'Too many requests wait here: try again in 1 second.', {
    retryAfterMs: 1000,
  });
}
