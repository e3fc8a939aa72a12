import { ApiError } from '@warmwind/shared/contract/errors';
import { findJobCommand } from '@warmwind/shared/contract/registry';
import { keys } from '@warmwind/shared/engine/keys';
import { JOB_QUEUES, LANES } from '@warmwind/shared/engine/queues';
import { inWords } from '@warmwind/shared/runtime/durations';
import { orUnavailable } from '../redis/record.ts';
import type { Services } from '../services.ts';
import type { Submission } from './submission.ts';

/** When to retry a submission to a full queue, ms. */
const FULL_RETRY_MS = 5000;

/**
 * Refuses a submission for which its queue has no room, before the script writes its records. A job that does
 * not count as outstanding always passes, because stops free room.
 * @throws ApiError `unavailable` when the queue is full
 */
export async function refuseUnderBackpressure(
  { queues, redis }: Services,
  submission: Submission,
): Promise<void> {
  if (submission.action === 'new' && !submission.command.counts) return;
  const asked = submission.action === 'retry' ? JOB_QUEUES : [LANES[submission.lane].queue];
  const full = await orUnavailable(
    Promise.all(asked.map(async (name) => (await queues.isFull(name)) && name)),
  );
  if (full.every((name) => name === false)) return;
  if (submission.action === 'retry') {
    const { userId, jobId } = submission;
    const [kind, queue] = await orUnavailable(
      redis.exec<(string | null)[]>(['HMGET', keys.job(userId, jobId), 'kind', 'queue']),
    );
    if (!findJobCommand(kind ?? '')?.counts || !full.some((name) => name === queue)) return;
  }
  throw new ApiError(
    'unavailable',
    `The queue is full, nothing was accepted: try again in ${inWords(FULL_RETRY_MS)}.`,
    {
      retryAfterMs: FULL_RETRY_MS,
    },
  );
}
