import { expect, test } from 'vitest';
import type { ErrorCode } from '../contract/errors.ts';
import { ApiError, NetworkError, UnexpectedAnswerError } from './http-errors.ts';
import { pauseBeforeRetry, RETRIES } from './retries.ts';

const refused = (status: number, code: ErrorCode, retryAfterMs?: number) =>
  new ApiError(
    { status, headers: new Headers() },
    { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  );
const unavailable = refused(503, 'unavailable', 1000);
const limited = refused(429, 'rate_limited', 1000);

test.each([
  ['a repeatable request to an unavailable edge is retried', unavailable, true, true],
  ['another request to an unavailable edge is not retried', unavailable, false, false],
  ['a rate-limited request is retried, repeatable or not', limited, false, true],
  ['a request over its quota is not retried', refused(429, 'quota_exceeded'), true, false],
  ['an invalid request is not retried', refused(400, 'bad_request'), true, false],
  ['a repeatable request without a response is retried', new NetworkError(), true, true],
  ['another request without a response is not retried', new NetworkError(), false, false],
  ['a response that is not of this API is not retried', new UnexpectedAnswerError(200), true, false],
  ['an error of the caller is not retried', new Error('no token'), true, false],
])('%s', (_, error, repeatable, again) => {
  expect(pauseBeforeRetry(error, 1, RETRIES, repeatable) !== undefined).toBe(again);
});

test('the pause is as long as the edge asks for, and the pause and the attempts are bounded', () => {
  expect(pauseBeforeRetry(limited, 1, RETRIES, true)).toBe(1000);
  expect(pauseBeforeRetry(limited, 1, { ...RETRIES, maxPauseMs: 999 }, true)).toBeUndefined();
  expect(pauseBeforeRetry(new NetworkError(), 30, { ...RETRIES, attempts: 31 }, true)).toBe(
    RETRIES.maxPauseMs,
  );
  expect(pauseBeforeRetry(limited, RETRIES.attempts, RETRIES, true)).toBeUndefined();
  expect(pauseBeforeRetry(new NetworkError(), 1, { ...RETRIES, unanswered: false }, true)).toBeUndefined();
});
