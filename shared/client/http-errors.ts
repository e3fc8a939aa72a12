import { ERROR_STATUS, type ErrorBody, type ErrorCode, type Issue } from '../contract/errors.ts';

/** Any failure of a call to the edge, except its caller's own abort, which rejects with the reason of the signal. */
export abstract class RequestError extends Error {
  /** The HTTP status; 0 when no answer came. */
  abstract readonly status: number;
  /** Milliseconds after which the same request may succeed, when the edge knows. */
  readonly retryAfterMs: number | undefined = undefined;
  /** May the request have been carried out all the same? Send it again under the same `Idempotency-Key`. */
  abstract readonly isOutcomeUnknown: boolean;
}

/** The edge refused a request: its flat body, or the status alone where a proxy answered for the edge. */
export class ApiError extends RequestError {
  override name = 'ApiError';
  readonly status: number;
  /** A code of a later edge is passed on as it is. */
  readonly code: ErrorCode | (string & {});
  override readonly retryAfterMs: number | undefined;
  /** Names the request in the logs of the edge. */
  readonly requestId: string | undefined;
  /** What is wrong with the request, when it is not valid. */
  readonly issues: readonly Issue[];
  readonly limit: number | undefined;
  readonly used: number | undefined;
  readonly headers: Headers;
  /** The body as it came, {} where it is no JSON. */
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

/** No answer came: no connection, or one that broke before the answer was complete. */
export class NetworkError extends RequestError {
  override name = 'NetworkError';
  readonly status = 0;
  readonly isOutcomeUnknown = true;
}

/** No complete answer came in time. */
export class RequestTimeoutError extends NetworkError {
  override name = 'RequestTimeoutError';
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`The server did not answer within ${timeoutMs} ms. Try again.`);
    this.timeoutMs = timeoutMs;
  }
}

/** A successful answer that is not the API's: something else than an edge is at this address. */
export class UnexpectedAnswerError extends RequestError {
  override name = 'UnexpectedAnswerError';
  readonly status: number;
  readonly isOutcomeUnknown = true;

  constructor(status: number) {
    super('The answer is not of this API. Check the address of the edge.');
    this.status = status;
  }
}

/** Reads what a failed answer says. */
export async function apiErrorOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => undefined);
  return new ApiError(response, typeof body === 'object' && body !== null ? body : {});
}

function messageOf(status: number, { issues, message }: Partial<ErrorBody>): string {
  const wrong = issues?.map(({ path, message: right }) => `${path}: ${right}`).join('; ');
  return wrong || message || `The server answered ${status}. Try again.`;
}

const CODES = Object.entries(ERROR_STATUS) as [ErrorCode, number][];

/** Of an answer without a code, by its status. */
function codeOf(status: number): ErrorCode {
  const [code] = CODES.find(([, known]) => known === status) ?? [];
  return code ?? (status >= 500 ? 'unavailable' : 'bad_request');
}

/** The header counts in whole seconds. */
function retryAfterOf(headers: Headers): number | undefined {
  const seconds = Number(headers.get('Retry-After') || Number.NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
