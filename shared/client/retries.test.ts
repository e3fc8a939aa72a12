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
  ['an unavailable edge, of a request that may be repeated', unavailable, true, true],
  ['an unavailable edge, of one that may not', unavailable, false, false],
  ['a rate limit, which nothing was done for', limited, false, true],
  ['a quota', refused(429, 'quota_exceeded'), true, false],
  ['an invalid request', refused(400, 'bad_request'), true, false],
  ['no answer, of a request that may be repeated', new NetworkError(), true, true],
  ['no answer, of one that may not', new NetworkError(), false, false],
  ['an answer that is not of this API', new UnexpectedAnswerError(200), true, false],
  ['an error of the caller', new Error('no token'), true, false],
])('%s', (_, error, repeatable, again) => {
  expect(pauseBeforeRetry(error, 1, RETRIES, repeatable) !== undefined).toBe(again);
});

test('the pause is as long as the edge asks for, and bounded, and so are the attempts', () => {
  expect(pauseBeforeRetry(limited, 1, RETRIES, true)).toBe(1000);
  expect(pauseBeforeRetry(limited, 1, { ...RETRIES, maxPauseMs: 999 }, true)).toBeUndefined();
  expect(pauseBeforeRetry(new NetworkError(), 30, { ...RETRIES, attempts: 31 }, true)).toBe(
    RETRIES.maxPauseMs,
  );
  expect(pauseBeforeRetry(limited, RETRIES.attempts, RETRIES, true)).toBeUndefined();
  expect(pauseBeforeRetry(new NetworkError(), 1, { ...RETRIES, unanswered: false }, true)).toBeUndefined();
});
