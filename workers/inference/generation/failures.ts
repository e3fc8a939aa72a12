import { APIConnectionError, APIError } from 'openai';
import { JobFailureError } from '../../runtime/failures.ts';
import { LineTooLongError } from './bounded-lines.ts';

/** Characters of a server's error message that are searched. */
const SEARCHED_CHARACTERS = 2000;
const MAX_RETRY_AFTER_MS = 60_000;
const OUT_OF_MEMORY = /out of memory|outofmemory/i;
const CONTEXT = /context.{0,20}(length|size|window|exceed)|exceed.{0,40}context|max_model_len/i;

/** Thrown when a server refuses requests for now. */
export class ServerBusyError extends Error {
  override name = 'ServerBusyError';
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number, cause: unknown) {
    super('the model server is busy', { cause });
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * Maps the error of a model server to the failure of the job, or to `ServerBusyError` when the server needs a
 * pause.
 */
export function modelFailure(error: unknown): JobFailureError | ServerBusyError {
  if (isTooLong(error)) return new JobFailureError('answer_too_long', error);
  if (error instanceof APIConnectionError || !(error instanceof APIError)) {
    return new JobFailureError('model_unavailable', error);
  }
  const { status, code, message, headers } = error;
  const text = `${code ?? ''} ${message}`.slice(0, SEARCHED_CHARACTERS);
  // vLLM reports both as 400, so the text is checked before the status.
  if (OUT_OF_MEMORY.test(text)) return new JobFailureError('model_out_of_memory', error);
  if (CONTEXT.test(text)) return new JobFailureError('context_exceeded', error);
  if (status === 429 || status === 503) {
    return new ServerBusyError(retryAfter(headers?.get('retry-after')), error);
  }
  if (status === 401 || status === 403) return new JobFailureError('model_server_denied', error);
  if (status === 400 || status === 413 || status === 422)
    return new JobFailureError('request_refused', error);
  return new JobFailureError('model_unavailable', error);
}

function isTooLong(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof LineTooLongError) return true;
  return false;
}

/** Parses `Retry-After`, seconds or a date. @returns ms from now, within bounds; 0 without a valid value */
function retryAfter(value: string | null | undefined): number {
  if (!value) return 0;
  const seconds = Number(value);
  const ms = Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000;
  return Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms || 0));
}
