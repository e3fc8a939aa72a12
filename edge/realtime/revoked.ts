import type { Pipeline, Redis } from '@upstash/redis/cloudflare';
import { type Revoked, TICKET_MAX_SECONDS } from '@warmwind/shared/contract/tickets';
import { keys, REVOKED_CHANNEL } from '@warmwind/shared/engine/keys';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';

/**
 * Revokes one ticket or share link of the caller. Its expiry is unknown, so the id is kept until every ticket
 * issued before has expired.
 * @throws ApiError `unavailable` when it is unknown whether the ticket was revoked
 */
export async function revokeTicket(c: Context<AppEnv>, redis: Redis, ticketId: string): Promise<void> {
  const userId = c.get('user').id;
  const key = keys.revoked(userId);
  const now = Date.now();
  const until = now + TICKET_MAX_SECONDS * 1000;
  const trip = redis
    .pipeline()
    .zremrangebyscore(key, 0, now)
    .zadd(key, { score: until, member: ticketId })
    .pexpireat(key, until)
    .hdel(keys.shareLinks(userId), ticketId);
  await publish(c, trip, { userId, ticketId });
}

/**
 * Revokes all present tickets and share links of the caller.
 * @throws ApiError `unavailable` when it is unknown whether they were revoked
 */
export async function revokeAllTickets(c: Context<AppEnv>, redis: Redis): Promise<void> {
  const userId = c.get('user').id;
  const before = Date.now();
  const trip = redis
    .pipeline()
    .set(keys.revokedBefore(userId), `${before}`, { px: TICKET_MAX_SECONDS * 1000 })
    .del(keys.shareLinks(userId));
  await publish(c, trip, { userId, before });
}

/**
 * Sends the trip that records a revocation and publishes it to all relays, which close the affected
 * connections.
 */
async function publish(c: Context<AppEnv>, trip: Pipeline, revoked: Revoked): Promise<void> {
  try {
    trip.publish(REVOKED_CHANNEL, JSON.stringify(revoked));
    await trip.exec();
  } catch (error) {
    log.warn('a revocation is unknown', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable('It is unknown whether this was revoked: retry.');
  }
}
