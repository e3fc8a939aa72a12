import { ApiError } from '@warmwind/shared/contract/errors';
import type { CancelVerdict } from '@warmwind/shared/engine/records';
import { notFound } from '../http/errors.ts';

/** Turns a verdict that cancels nothing into the error that the caller receives. */
export function refusal(verdict: Exclude<CancelVerdict, { verdict: 'cancelled' }>): ApiError {
  switch (verdict.verdict) {
    case 'not_found':
      return notFound('job');
    case 'ended':
      return new ApiError('conflict', `The job is ${verdict.state} already: there is nothing to cancel.`);
    case 'uncancellable':
      return new ApiError('conflict', 'A stop is not taken back: start a new desktop instead.');
  }
}
