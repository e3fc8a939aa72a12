import { ERROR_STATUS, type ErrorBody, type ErrorCode, type Issue } from '../contract/errors.ts';
import { WarmwindError } from './errors.ts';

/**
 * The base class of all failures of a call to the edge. A call that its caller aborts rejects with the reason
 * of the signal instead.
 */
export abstract class RequestError extends WarmwindError {
  /** The HTTP status; 0 when no response arrived. */
  abstract readonly status: number;
  /** Time after which the same request may succeed, ms; `undefined` when the edge gives none. */
  readonly retryAfterMs: number | undefined = undefined;
  /** May the request have been carried out? If so, send it again only under the same `Idempotency-Key`. */
  abstract readonly isOutcomeUnknown: boolean;
}

/**
 * The edge refused a request. Its properties come from the JSON body, or from the status alone when a proxy
 * responded.
 *
 * @example
 * try {
 *   await edge.startContainer();
 * } catch (error) {
 *   if (error instanceof ApiError && error.code === 'quota_exceeded') console.log(error.used, error.limit);
 *   else throw error;
 * }
 */
export class ApiError extends RequestError {
  override name = 'ApiError';
  readonly status: number;
  /** The error code. A code that this version does not know is kept as it is. */
  readonly code: ErrorCode | (string & {});
  override readonly retryAfterMs: number | undefined;
  /** The id of the request in the logs of the edge. */
  readonly requestId: string | undefined;
  /** The invalid fields of the request; empty unless it is invalid. */
  readonly issues: readonly Issue[];
  /** The quota, when `code` is `quota_exceeded`. */
  readonly limit: number | undefined;
  /** The used part of the quota, when `code` is `quota_exceeded`. */
  readonly used: number | undefined;
  /** The headers of the response. */
  readonly headers: Headers;
  /** The JSON body of the response; `{}` when it is not JSON. */
  readonly body: object;

  constructor({ status, headers }: Pick<Response, 'status' | 'headers'>, body: Partial<ErrorBody>) {
    super(messageOf(status, body));
    this.status = status;
    this.code = body.code ?? codeOf(status);
    this.retryAfterMs = body.retryAfterMs ?? retryAfterOf(headers);
    this.requestId = body.requestId ?? headers.get('X-Request-Id') ?? undefined;
    this.issues = body.issues ?? [];
    this.limit = body.limit;
    this.used = body.used;
    this.headers = headers;
    this.body = body;
  }

  get isOutcomeUnknown(): boolean {
    return this.status >= 500;
  }
}

/** No complete response arrived: the connection failed, or closed before the end of the response. */
export class NetworkError extends RequestError {
  override name = 'NetworkError';
  readonly code: string = 'network_error';
  readonly status = 0;
  readonly isOutcomeUnknown = true;
}

/** No complete response arrived in time. */
export class RequestTimeoutError extends NetworkError {
  override name = 'RequestTimeoutError';
  override readonly code = 'request_timeout';
  /** The time-out that passed, ms. */
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`The server did not answer within ${timeoutMs} ms. Try again.`);
    this.timeoutMs = timeoutMs;
  }
}

/** A successful response that is not of this API: the address is not that of an edge. */
export class UnexpectedAnswerError extends RequestError {
  override name = 'UnexpectedAnswerError';
  readonly code = 'unexpected_answer';
  readonly status: number;
  readonly isOutcomeUnknown = true;

  constructor(status: number) {
    super('The response is not of this API. Check the address of the edge.');
    this.status = status;
  }
}

/** Makes the error of a failed response. */
export async function apiErrorOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => undefined);
  return new ApiError(response, typeof body === 'object' && body !== null ? body : {});
}

function messageOf(status: number, { issues, message }: Partial<ErrorBody>): string {
  const invalid = issues?.map(({ path, message: advice }) => `${path}: ${advice}`).join('; ');
  return invalid || message || `The server answered ${status}. Try again.`;
}

const CODES = Object.entries(ERROR_STATUS) as [ErrorCode, number][];

/** @returns the code of a response without one, by its status */
function codeOf(status: number): ErrorCode {
  const [code] = CODES.find(([, known]) => known === status) ?? [];
  return code ?? (status >= 500 ? 'unavailable' : 'bad_request');
}

/** @returns the `Retry-After` header, which has whole seconds, in ms */
function retryAfterOf(headers: Headers): number | undefined {
  const seconds = Number(headers.get('Retry-After') || Number.NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
