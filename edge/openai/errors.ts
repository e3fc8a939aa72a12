import { ApiError, type ErrorCode } from '@warmwind/shared/contract/errors';
import type { JobError } from '@warmwind/shared/contract/jobs';
import { chatRequestError, type OpenAiErrorBody, openAiError } from '@warmwind/shared/contract/openai';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { AppEnv } from '../env.ts';
import { errorResponse } from '../http/error-response.ts';

/** Routes whose errors have OpenAI's form. */
export const isOpenAi = (path: string): boolean => path.startsWith('/v1/');

/** Answers an error on these routes. */
export function openAiErrorResponse(error: unknown, c: Context<AppEnv>): Response {
  if (!(error instanceof NoAnswerError)) return errorResponse(error, c, openAiBody);
  if (error.status === 429 || error.status === 503) c.header('Retry-After', '1');
  return c.json(error.body, error.status);
}

/** OpenAI's codes for the errors that its clients distinguish. */
const CODES: Partial<Record<ErrorCode, string>> = {
  unauthenticated: 'invalid_api_key',
  rate_limited: 'rate_limit_exceeded',
  quota_exceeded: 'insufficient_quota',
};

/** Formats an error as OpenAI's clients read it. */
function openAiBody({ code, status, message, details }: ApiError): OpenAiErrorBody {
  if (code === 'bad_request' && details.issues) return chatRequestError(details.issues[0]);
  return openAiError(status, message, CODES[code] ?? code);
}

/** Failures of a job that the caller can fix, and how OpenAI's API reports them. */
const REFUSED: Record<string, { code: string; status: 400 | 404 | 429 | 504; param?: string }> = {
  model_missing: { code: 'model_not_found', status: 404, param: 'model' },
  context_exceeded: { code: 'context_length_exceeded', status: 400, param: 'messages' },
  request_refused: { code: 'invalid_value', status: 400 },
  answer_too_long: { code: 'invalid_value', status: 400, param: 'max_tokens' },
  model_busy: { code: 'rate_limit_exceeded', status: 429 },
  timed_out: { code: 'timeout', status: 504 },
};

/** The answer failed, before or after its first text. */
export class NoAnswerError extends Error {
  override name = 'NoAnswerError';
  readonly status: ContentfulStatusCode;
  readonly body: OpenAiErrorBody;

  constructor(status: ContentfulStatusCode, message: string, code: string, param?: string) {
    super(message);
    this.status = status;
    this.body = openAiError(status, message, code, param);
  }

  static ofJob({ code, message }: JobError): NoAnswerError {
    const { status, code: known, param } = REFUSED[code] ?? { status: 503 as const, code };
    return new NoAnswerError(status, message, known, param);
  }
}

/** Turns any failure while answering into the error that the client receives. */
export function noAnswer(error: unknown): NoAnswerError {
  if (error instanceof NoAnswerError) return error;
  if (error instanceof ApiError) return new NoAnswerError(error.status, error.message, error.code);
  return new NoAnswerError(503, 'The answer can not be read now: retry.', 'unavailable');
}
