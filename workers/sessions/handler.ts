import type { SessionCode } from '@warmwind/shared/contract/sessions/codes';

/** The context of one session, for its handler. */
export type SessionContext<Input = unknown> = {
  userId: string;
  containerId: string;
  sessionId: string;
  /** The input with which the client opened the session. */
  input: Input;
  /** Bytes from the client, and bytes to it. Both have backpressure. */
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
  /** Aborted when the session ends before its handler does. */
  signal: AbortSignal;
  /** Resolves with the path of the container's RFB socket. */
  socketPath: () => Promise<string>;
};

/**
 * Carries out a session. The session is complete when its handler has returned and all bytes have arrived.
 * @returns the result of the session
 * @throws SessionEndedError to end the session with a code and a message that its client reads
 */
export type SessionHandler<Input = unknown, Result = unknown> = (
  context: SessionContext<Input>,
) => Promise<Result>;

/** A session ended before it was complete. */
export class SessionEndedError extends Error {
  override name = 'SessionEndedError';
  readonly code: SessionCode;

  constructor(code: SessionCode, message: string) {
    super(message);
    this.code = code;
  }
}
