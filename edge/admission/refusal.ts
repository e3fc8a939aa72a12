import { refusedState } from '@warmwind/shared/contract/call-refusal';
import { type ContainerState, notRunning } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import { notFound } from '../http/errors.ts';
import type { RefusedVerdict, Submission } from './submission.ts';

/** When to retry after a full quota, ms. Only its owner can free room, so an earlier retry is no use. */
const QUOTA_RETRY_MS = 5000;

/** Turns a verdict that accepts nothing into the error that the caller receives. */
export function refusal(verdict: RefusedVerdict, submission: Submission): ApiError {
  switch (verdict.verdict) {
    case 'quota': {
      const { name, limit, used } = verdict;
      const next = limit > 0 ? 'end one first.' : 'ask an administrator for more.';
      return new ApiError('quota_exceeded', `You have ${used} of ${limit} ${name}: ${next}`, {
        limit,
        used,
        retryAfterMs: QUOTA_RETRY_MS,
      });
    }
    case 'mismatch':
      return new ApiError(
        'conflict',
        'This Idempotency-Key was used for another request: use a new key for a new request.',
      );
    case 'ended':
      return new ApiError('conflict', endedMessage(submission, verdict.state as ContainerState));
    case 'unready':
      return refusedState(verdict.state as ContainerState);
    case 'unretryable':
      return new ApiError(
        'conflict',
        `The job is ${verdict.state}: only a failed, cancelled or timed-out one can be retried.`,
      );
    case 'forgotten':
      return new ApiError(
        'conflict',
        'The input or desktop of this job is no longer stored: submit a new job.',
      );
    case 'not_found':
      return notFound(submission.action === 'retry' ? 'job' : 'desktop');
    case 'denied':
      return new ApiError('rate_limited', 'Over a limit: try again in 1 second.', { retryAfterMs: 1000 });
  }
}

function endedMessage(submission: Submission, state: ContainerState): string {
  const own = submission.action === 'new' ? submission.command.endedMessage : undefined;
  return own?.replace('{state}', state) ?? notRunning(state);
}
