import { ApiError } from '@warmwind/shared/contract/errors';
import { limitSubject } from '@warmwind/shared/runtime/address';
import { createMiddleware } from 'hono/factory';
import type { Config } from '../config.ts';
import type { AppEnv } from '../env.ts';
import { clientIp } from '../http/client-ip.ts';
import { BandwidthController, type PaceOptions } from './pace.ts';

/** Of an address: files that need no token. A page of ours loads up to six. */
const FILES: PaceOptions = { perSecond: 20, burst: 60 };
/** Of a user: what counts against no limit. */
const LOOKS: PaceOptions = { perSecond: 10, burst: 20 };

/** Spreads what an address asks of routes without a token over time; asks nothing of the limiter. */
export const pacedByAddress = ({ TRUSTED_PROXIES }: Config, pace = new BandwidthController(FILES)) =>
  createMiddleware<AppEnv>(async (c, next) => {
    await turn(pace, limitSubject(clientIp(c.req.raw.headers, TRUSTED_PROXIES)));
    await next();
  });

/** Spreads what a user asks of a route that is not limited over time. */
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
