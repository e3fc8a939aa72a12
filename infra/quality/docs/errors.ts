import { ERROR_GUIDE } from '@warmwind/shared/contract/error-guide';
import { ERROR_STATUS, type ErrorCode } from '@warmwind/shared/contract/errors';
import { DROPPED } from '@warmwind/shared/contract/screen';
import { FAILURE_CODES, failure } from '../../../workers/runtime/failures.ts';
import { code, page, table } from './markdown.ts';

const httpRows = (Object.keys(ERROR_STATUS) as ErrorCode[]).map((name) => {
  const { retryable, meaning, remedy } = ERROR_GUIDE[name];
  return [code(name), `${ERROR_STATUS[name]}`, retryable ? 'yes' : 'no', meaning, remedy];
});

const jobRows = FAILURE_CODES.map((name) => {
  const { retryable, message } = failure(name);
  return [code(name), retryable ? 'yes' : 'no', message];
});

/** `docs/reference/errors.md`: every error code, from the tables that the services answer with. */
export const errors = (): string =>
  page(
    'Errors',
    [
      'shared/contract/errors.ts',
      'shared/contract/error-guide.ts',
      'workers/runtime/failures.ts',
      'shared/contract/screen.ts',
    ],
    [
      'Every failed HTTP answer is flat: `{statusCode, code, message, requestId}`, with `issues` for an invalid request, `retryAfterMs` where a later request may succeed, and `limit` and `used` for a quota. `message` says what to do next. `code` is stable; later versions add codes.',
      '## HTTP',
      '“Retry” means that the same request may succeed later without a change.',
      table(['code', 'status', 'retry', 'meaning', 'what to do'], httpRows),
      'The relay’s acknowledgements carry the same codes as `{ok: false, code, message}`. Below `/v1/` errors have OpenAI’s form; `unauthenticated` is `invalid_api_key` there, `rate_limited` is `rate_limit_exceeded`, and `quota_exceeded` is `insufficient_quota` (`edge/openai/errors.ts`).',
      '## Jobs',
      'A job that ended `failed` or `timed_out` has `error: {code, message, retryable}`. Workers try a retryable failure again while the job has attempts left; `POST /jobs/{id}/retry` starts a new run of any of them.',
      table(['code', 'retry', 'message'], jobRows),
      '## Input to a screen',
      'The relay reports input that did not reach the desktop by `vnc:dropped`, with one of these reasons.',
      table(
        ['reason', 'message'],
        Object.entries(DROPPED).map(([name, message]) => [code(name), message]),
      ),
    ],
  );
