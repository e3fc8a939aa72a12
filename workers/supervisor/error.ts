/** Codes of this client. The supervisor adds its own, such as `not_found` for a program that does not exist. */
type ClientCode = 'no_supervisor' | 'not_here' | 'unreachable' | 'timeout' | 'invalid_answer';

/** A supervisor refused a request, or did not answer it. `code` is stable; the message says what to do next. */
export class SupervisorError extends Error {
  override name = 'SupervisorError';
  readonly code: ClientCode | (string & {});
  /** The status of its answer; `undefined` when there was none. */
  readonly status: number | undefined;

  constructor(
    code: ClientCode | (string & {}),
    message: string,
    options: { status?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status;
  }
}
