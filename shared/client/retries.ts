import { backoff } from '../runtime/backoff.ts';
import { ApiError, NetworkError } from './http-errors.ts';

/** How a failed call is retried. */
export type Retries = {
  /** The most requests of one call, the first included. Default: 4. */
  attempts: number;
  /** The longest pause, ms. A call fails at once when the edge asks for a longer one. Default: 5000. */
  maxPauseMs: number;
  /** Whether repeatable requests that received no response are retried. Default: true. */
  unanswered: boolean;
};

/** The default retries. */
export const RETRIES: Retries = { attempts: 4, maxPauseMs: 5000, unanswered: true };

/** Statuses after which a retry may succeed, although the request may have been carried out already. */
const TRANSIENT_STATUSES = [502, 503, 504];

/**
 * Decides whether and when a failed request is retried.
 *
 * @param attempt the number of the failed attempt, from 1
 * @param repeatable whether the request may be carried out twice, or has an `Idempotency-Key`
 * @returns the pause before the retry, ms; `undefined` when the request is not retried
 */
export function pauseBeforeRetry(
  error: unknown,
  attempt: number,
  { attempts, maxPauseMs, unanswered }: Retries,
  repeatable: boolean,
): number | undefined {
  if (attempt >= attempts || !isRetryable(error, unanswered, repeatable)) return undefined;
  const retryAfterMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  if (retryAfterMs > maxPauseMs) return undefined;
  return Math.min(Math.max(retryAfterMs, backoff(attempt)), maxPauseMs);
}

function isRetryable(error: unknown, unanswered: boolean, repeatable: boolean): boolean {
  if (error instanceof NetworkError) return unanswered && repeatable;
  if (!(error instanceof ApiError)) return false;
  // A rate-limited request has not been carried out.
  return error.code === 'rate_limited' || (repeatable && TRANSIENT_STATUSES.includes(error.status));
}
