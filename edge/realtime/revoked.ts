import type { Pipeline } from '@upstash/redis/cloudflare';
import { REVOKED_CHANNEL } from '@warmwind/shared/keys';
import type { Revoked } from '@warmwind/shared/realtime';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';

/** Adds the message to all relays, which close what is open, to the trip that records a revocation. */
export const publishRevoked = (trip: Pipeline, revoked: Revoked): Pipeline =>
  trip.publish(REVOKED_CHANNEL, JSON.stringify(revoked)) as unknown as Pipeline;

/** Makes the trip. @throws ApiError `unavailable` when it is unknown whether Redis did */
export async function revoke(c: Context<AppEnv>, trip: Pipeline): Promise<void> {
  try {
    await trip.exec();
  } catch (error) {
    log.warn('a revocation is unknown', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable('It is unknown whether this was revoked: retry.');
  }
}
