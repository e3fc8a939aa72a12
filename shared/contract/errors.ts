/** Every error code of the outer contract and the HTTP status it answers with. */
export const ERROR_STATUS = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  admin_required: 403,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  conflict: 409,
  gone_incarnation: 409,
  control_held: 409,
  paused: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  quota_exceeded: 429,
  busy: 429,
  internal: 500,
  unavailable: 503,
  upstream_timeout: 504,
  outcome_unknown: 504,
  insufficient_storage: 507,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** One invalid field of a request: its path, and the valid form. */
export type Issue = { path: string; message: string };

/** The fields that some codes add to `code` and `message`. */
export type ErrorDetails = {
  issues?: Issue[];
  /** Milliseconds after which the same request may succeed. */
  retryAfterMs?: number;
  limit?: number;
  used?: number;
};

/** Is this a code of this version's list? */
export const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === 'string' && Object.hasOwn(ERROR_STATUS, code);

/** The flat body that every failed HTTP answer has. */
export type ErrorBody = ErrorDetails & {
  statusCode: number;
  code: ErrorCode;
  message: string;
  requestId: string;
};

/** An error that the caller may see. `message` names the next step and holds no secret. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }

  get status(): (typeof ERROR_STATUS)[ErrorCode] {
    return ERROR_STATUS[this.code];
  }

  body(requestId: string): ErrorBody {
    return { statusCode: this.status, code: this.code, message: this.message, requestId, ...this.details };
  }
}
