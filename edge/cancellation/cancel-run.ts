import { CANCEL_PLANS } from '@warmwind/shared/contract/plan';
import { CANCELLED_CHANNEL, keys, recordPrefixes } from '@warmwind/shared/engine/keys';
import {
  type CancelVerdict,
  ENDED_RECORD_TTL_MS,
  MAX_CHANGES,
  OPEN_RECORD_TTL_MS,
} from '@warmwind/shared/engine/records';
import { cancelJob } from '@warmwind/shared/engine/scripts/cancel.lua';
import type { Services } from '../services.ts';

/**
 * Ends the present run of a job in Redis, in one trip. Before its script, the trip sets the cancellation
 * marker, by which workers find a cancellation whose message they missed, and adds the user to those whose
 * changes the drain moves into the ledger.
 */
export async function cancelRun(
  { redis, ledger }: Pick<Services, 'redis' | 'ledger'>,
  userId: string,
  jobId: string,
): Promise<CancelVerdict> {
  const cancellation = { score: Date.now(), member: marker(userId, jobId) };
  const { keys: names, args } = cancelJob.call(
    { userId, jobId },
    {
      userId,
      jobId,
      endedTtlMs: ENDED_RECORD_TTL_MS,
      openTtlMs: OPEN_RECORD_TTL_MS,
      maxChanges: ledger ? MAX_CHANGES : '',
      channel: CANCELLED_CHANNEL,
      plans: JSON.stringify(CANCEL_PLANS),
      containerPrefix: recordPrefixes(userId).container,
    },
  );
  const trip = redis.pipeline();
  trip.zadd(keys.cancellations(), cancellation);
  if (ledger) trip.zincrby(keys.changedUsers(), 1, userId);
  trip.eval(cancelJob.lua, names, args);
  const answers = await trip.exec<unknown[]>();
  return cancelJob.read(answers.at(-1));
}

/** Deletes the marker of a job that does not exist: workers need not follow it up. */
export async function deleteCancellationMarker(
  { redis }: Services,
  userId: string,
  jobId: string,
): Promise<void> {
  await redis.zrem(keys.cancellations(), marker(userId, jobId));
}

const marker = (userId: string, jobId: string): string => `${userId}/${jobId}`;
