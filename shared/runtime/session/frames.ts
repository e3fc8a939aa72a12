import { MAX_MESSAGE_BYTES } from '../../contract/tickets.ts';

/**
 * The largest chunk of a session's bytes, and how many bytes may be on their way in one direction: eight such
 * chunks.
 */
export const MAX_CHUNK_BYTES = 256 * 1024;
export const WINDOW_BYTES = 8 * MAX_CHUNK_BYTES;
/** The largest chunk of a client: with what Socket.IO adds it fits into a message that the relay takes. */
export const MAX_UPLOAD_CHUNK_BYTES = MAX_MESSAGE_BYTES - 4096;
/** The interval of {@link SessionStream.tick}, ms. */
export const TICK_MS = 1000;

/**
 * The frames that the two ends of a session exchange. Positions count the bytes of a direction from 0; its
 * end takes one position after the last byte.
 */
export type SessionFrame =
  | { t: 'data'; offset: number; bytes: Uint8Array }
  /** The direction has so many bytes. */
  | { t: 'end'; offset: number }
  /**
   * All before `received` has arrived, all before `consumed` was read: the credit is counted from there.
   * `resend`: send again from `received` on.
   */
  | { t: 'ack'; received: number; consumed: number; resend?: boolean | undefined };
export type SessionAck = Extract<SessionFrame, { t: 'ack' }>;

/** The peer violated the protocol of sessions: the session can't continue. */
export class SessionProtocolError extends Error {
  override name = 'SessionProtocolError';
}
