import { ApiError } from '@warmwind/shared/errors';
import type { SubmitVerdict } from '@warmwind/shared/records';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { notFound, unavailable } from '../http/errors.ts';
import { log } from '../http/log.ts';
import { applyDecision } from '../limits/charge.ts';
import { redisFailure } from '../redis/redis.ts';
import type { AcceptedJob, Submission, Submissions } from './submissions.ts';

/** When a quota may have room again is its owner's doing; asking sooner than this is no use, ms. */
const QUOTA_RETRY_MS = 5000;

/**
 * Submits, and answers with the job, new or as it was accepted before. Throws whatever the script or the queue had
 * against it as the error its caller sees. When Redis does not answer, nothing is known: the same `Idempotency-Key`
 * makes the retry safe.
 */
export async function submit(
  c: Context<AppEnv>,
  submissions: Submissions,
  submission: Submission,
): Promise<AcceptedJob> {
  c.set('charged', true);
  const { decision, verdict } = await orUnknown(c, submissions.decide(submission));
  applyDecision(c, decision, submission.userId);
  const job = accepted(verdict);
  c.set('jobId', job.jobId);
  await orUnknown(c, submissions.enqueue(submission, job));
  if (job.verdict === 'replayed') c.header('Idempotent-Replayed', 'true');
  return job;
}

async function orUnknown<T>(c: Context<AppEnv>, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    log.warn('a submission is unknown', { requestId: c.get('requestId'), ...redisFailure(error) });
    throw unavailable(
      'It is unknown whether this was accepted: retry with the same Idempotency-Key, and it runs once.',
    );
  }
}

function accepted(verdict: SubmitVerdict): AcceptedJob {
  switch (verdict.verdict) {
    case 'accepted':
    case 'replayed':
      return verdict;
    case 'quota': {
      const { name, limit, used } = verdict;
      throw new ApiError('quota_exceeded', `You have ${used} of ${limit} ${name}: end one first.`, {
        limit,
        used,
        retryAfterMs: QUOTA_RETRY_MS,
      });
    }
    case 'mismatch':
      throw new ApiError(
        'conflict',
        'This Idempotency-Key was used for another request: use a new key for a new request.',
      );
    case 'ended':
      throw new ApiError('conflict', `The desktop is ${verdict.state} already: there is nothing to stop.`);
    case 'not_found':
      throw notFound('desktop');
    case 'denied':
      throw new ApiError('rate_limited', 'Over a limit: retry later.', { retryAfterMs: 1000 });
  }
}
