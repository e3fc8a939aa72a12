import type { SessionCode } from '@warmwind/shared/contract/sessions/codes';

/** What a handler of sessions is given. */
export type SessionContext<Input = unknown> = {
  userId: string;
  containerId: string;
  sessionId: string;
  /** What the client opened it with. */
  input: Input;
  /** Bytes of the client, and bytes to it: either waits for the other side. */
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
  /** Aborted when the session ends before its handler does. */
  signal: AbortSignal;
  /** Where the container's RFB socket is. */
  socketPath: () => Promise<string>;
};

/**
 * Carries a session out; the session is complete when it returns, and all that it wrote has arrived.
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
