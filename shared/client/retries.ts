import { backoff } from '../runtime/backoff.ts';
import { ApiError, NetworkError } from './http-errors.ts';

/** How a call that failed is sent again. */
export type Retries = {
  /** Requests of one call at most, the first included. */
  attempts: number;
  /** The longest pause between two, ms. When the edge asks for a longer one, the call fails at once. */
  maxPauseMs: number;
  /** Send again also what was not answered at all? */
  unanswered: boolean;
};

export const RETRIES: Retries = { attempts: 4, maxPauseMs: 5000, unanswered: true };

/** Statuses after which a request may succeed, and may have been carried out already. */
const PASSING = [502, 503, 504];

/**
 * The pause before a failed request is sent again.
 *
 * @param attempt that failed, from 1
 * @param repeatable may the request be carried out twice (or is it under an `Idempotency-Key`)?
 * @returns milliseconds; `undefined` when it is not sent again
 */
export function pauseBeforeRetry(
  error: unknown,
  attempt: number,
  { attempts, maxPauseMs, unanswered }: Retries,
  repeatable: boolean,
): number | undefined {
  if (attempt >= attempts || !mayPass(error, unanswered, repeatable)) return undefined;
  const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  return askedMs > maxPauseMs ? undefined : Math.min(Math.max(askedMs, backoff(attempt)), maxPauseMs);
}

function mayPass(error: unknown, unanswered: boolean, repeatable: boolean): boolean {
  if (error instanceof NetworkError) return unanswered && repeatable;
  if (!(error instanceof ApiError)) return false;
  // A request over its rate limit has not been carried out.
  return error.code === 'rate_limited' || (repeatable && PASSING.includes(error.status));
}
