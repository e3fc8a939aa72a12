import type { ErrorCode } from '../contract/errors.ts';
import type { SessionCode } from '../contract/sessions/codes.ts';
import { WarmwindError } from './errors.ts';

/** A terminal was refused or has ended with its container. */
export class TerminalError extends WarmwindError {
  override name = 'TerminalError';
  /** The code of the refusal, or of the end of the session. */
  readonly code: ErrorCode | SessionCode;

  constructor(code: ErrorCode | SessionCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
