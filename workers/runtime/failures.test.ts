import { expect, test } from 'vitest';
import { classify, failedReason, failure, JobFailureError, readFailedReason } from './failures.ts';

test.each(['image_missing', 'timed_out', 'worker_lost'] as const)(
  'a failed reason is parsed by its code alone, whatever its message: %s',
  (code) => {
    expect(readFailedReason(failedReason(failure(code)))).toEqual(failure(code));
    expect(readFailedReason(failedReason({ ...failure(code), message: 'Reworded.' }))).toEqual(failure(code));
  },
);

test.each([
  ['the message of a failure without its code', failure('image_missing').message],
  ['a reason of BullMQ', 'job stalled more than allowable limit'],
  ['a code that no failure has', 'unknown_failure: Try again.'],
  ['a name that every object has', 'constructor: Try again.'],
  ['nothing', null],
])('no failure is parsed from %s', (_, reason) => {
  expect(readFailedReason(reason)).toBeUndefined();
});

test.each([
  [{ statusCode: 404, message: 'No such image: warmwind/desktop' }, 'engine_busy'],
  [{ statusCode: 404, message: 'No such container: 1a2b' }, 'engine_busy'],
  [{ statusCode: 409, message: 'out of memory' }, 'engine_busy'],
  [{ statusCode: 400, message: 'no such image' }, 'invalid_spec'],
  [{ statusCode: 500, message: 'timed_out' }, 'engine_unavailable'],
  [{ code: 'ECONNREFUSED', message: 'no such image' }, 'engine_unavailable'],
  [new Error('image_missing'), 'internal'],
  [new JobFailureError('image_missing', new Error('engine_busy')), 'image_missing'],
])('an error is classified by its status or code, never by its text: %o', (error, code) => {
  expect(classify(error)).toEqual(failure(code as Parameters<typeof failure>[0]));
});
