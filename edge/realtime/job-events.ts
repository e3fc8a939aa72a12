import { TICKET_MAX_SECONDS } from '@warmwind/shared/contract/tickets';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { notFound, unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import { type Relay, refusalOf } from './relay.ts';

const UNREADABLE = 'Events can not be read now: retry, or get the job.';

/**
 * Opens the relay's stream of a job of the caller. It ends at the latest when the caller's token expires.
 * @param after the id of the last event that the caller has
 * @returns the stream; `undefined` when the job has ended with the event `after`
 * @throws ApiError `not_found` or `rate_limited`, as the relay refuses, or `unavailable`
 */
export async function openJobEvents(
  c: Context<AppEnv>,
  relay: Relay,
  jobId: string,
  after: string | undefined,
): Promise<ReadableStream<Uint8Array> | undefined> {
  const { id: user, expiresAt: notAfter } = c.get('user');
  const lifetime = { ttlSeconds: TICKET_MAX_SECONDS, notAfter };
  const answer = await relay.events(user, jobId, after, lifetime).catch((error: unknown) => {
    log.warn('the relay did not answer', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable(UNREADABLE);
  });
  if (answer.status === 200 && answer.body) return answer.body;
  if (answer.status === 429) throw await refusalOf(answer);
  await answer.body?.cancel();
  if (answer.status === 204) return undefined;
  if (answer.status === 404) throw notFound('job');
  log.warn('the relay refused', { requestId: c.get('requestId'), status: answer.status });
  throw unavailable(UNREADABLE);
}
