import type { Socket } from 'socket.io-client';
import type { ErrorCode } from '../contract/errors.ts';
import { SESSION_GRACE_MS, SESSION_SILENT_MS, type SessionCode } from '../contract/sessions/codes.ts';
import type { SessionKind, SessionResults } from '../contract/sessions/registry.ts';
import type { Ack } from '../contract/tickets.ts';
import { backoff } from '../runtime/backoff.ts';
import {
  MAX_UPLOAD_CHUNK_BYTES,
  type SessionFrame,
  SessionProtocolError,
} from '../runtime/session/frames.ts';
import { SessionPair } from '../runtime/session/pair.ts';
import { WarmwindError } from './errors.ts';

const ACK_MS = 10_000;
/** Temporary refusals, after which attaching is retried. */
const TRANSIENT_REFUSALS: readonly string[] = ['unavailable', 'rate_limited', 'internal', 'conflict'];

/** The relay or the host of the container refused to open a session. */
export class SessionRefusedError extends WarmwindError {
  override name = 'SessionRefusedError';
  /** The error code of the refusal. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A session ended before it was complete. */
export class SessionClosedError extends WarmwindError {
  override name = 'SessionClosedError';
  /** Why the session ended. */
  readonly code: SessionCode;

  constructor(code: SessionCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An open session: a pair of byte streams that continues after reconnects. */
export type ClientSession<Kind extends SessionKind = SessionKind> = {
  /** The id of the session. */
  readonly sessionId: string;
  /** The incarnation of the container. Pass it to later sessions to reach the same one. */
  readonly incarnation: number;
  /** When the session expires, ISO 8601. */
  readonly expiresAt: string;
  /** Bytes from the container. Unread bytes hold its sender back. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to the container. Closing it ends this direction only. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves with the result of a completed session; rejects with a {@link SessionClosedError}. */
  readonly closed: Promise<SessionResults[Kind]>;
  /** Ends the session at once. */
  abort(message?: string): void;
};

/** The relay's acknowledgement of an attached session. */
export type Attached = { sessionId: string; incarnation: number; expiresAt: string };
/** The end of a session, from its host. */
export type Closed = { code: SessionCode; message: string; result?: unknown };

/** One session at its client. It attaches again after each reconnect. */
export class AttachedSession {
  readonly sessionId: string;
  readonly #socket: Socket;
  readonly #onClosed: () => void;
  readonly #pair: SessionPair;
  readonly #closed = Promise.withResolvers<unknown>();
  #isClosed = false;
  #isAttached = true;
  #attaching = false;
  #attempts = 0;
  #receivedAt = performance.now();

  /** @param onReady called when {@link AttachedSession.next} may have a frame */
  constructor(attached: Attached, socket: Socket, onReady: () => void, onClosed: () => void) {
    this.sessionId = attached.sessionId;
    this.#socket = socket;
    this.#onClosed = onClosed;
    this.#pair = new SessionPair(MAX_UPLOAD_CHUNK_BYTES, onReady, (reason) => this.abort(textOf(reason)));
    // A caller that ignores this promise receives the error from the streams.
    this.#closed.promise.catch(() => undefined);
  }

  /** @returns the session in its public form */
  facade<Kind extends SessionKind>({ incarnation, expiresAt }: Attached): ClientSession<Kind> {
    return {
      sessionId: this.sessionId,
      incarnation,
      expiresAt,
      readable: this.#pair.readable,
      writable: this.#pair.writable,
      closed: this.#closed.promise as Promise<SessionResults[Kind]>,
      abort: (message) => this.abort(message),
    };
  }

  /** @returns the next frame to send; `undefined` when there is none, or while detached */
  next(): SessionFrame | undefined {
    return this.#isAttached && !this.#isClosed ? this.#pair.next() : undefined;
  }

  /** Handles a frame of the host. */
  receive(frame: SessionFrame): void {
    if (this.#isClosed) return;
    this.#receivedAt = performance.now();
    try {
      this.#pair.receive(frame);
    } catch (error) {
      if (!(error instanceof SessionProtocolError)) throw error;
      this.#emitAbort(error.message);
      this.#fail(new SessionClosedError('protocol_error', error.message));
    }
  }

  /** Handles the end of the session at its host. */
  close({ code, message, result }: Closed): void {
    if (this.#isClosed) return;
    if (code !== 'completed') {
      this.#fail(new SessionClosedError(code, message));
      return;
    }
    this.#isClosed = true;
    this.#pair.finish();
    this.#closed.resolve(result);
    this.#onClosed();
  }

  /** Aborts the session at both ends. */
  abort(message = 'The client aborted the session.'): void {
    if (this.#isClosed) return;
    this.#emitAbort(message);
    this.#fail(new SessionClosedError('aborted', message));
  }

  /** Ends a session that cannot be attached again. */
  lost(message = 'The session was not attached again in time. Open another one.', cause?: unknown): void {
    this.#fail(new SessionClosedError('lost', message, { cause }));
  }

  /** Notes that the connection was lost. */
  detached(): void {
    this.#isAttached = false;
  }

  /** Checks for silence and acknowledges. Call it every `TICK_MS`. */
  tick(): void {
    const silentMs = performance.now() - this.#receivedAt;
    if (silentMs > SESSION_SILENT_MS + SESSION_GRACE_MS) this.lost();
    else if (silentMs > SESSION_SILENT_MS) this.attach();
    else if (this.#isAttached) this.#pair.tick();
  }

  /** Attaches the session over the present connection. Temporary refusals are retried. */
  attach(): void {
    if (this.#attaching || this.#isClosed || !this.#socket.connected) return;
    this.#attaching = true;
    this.#isAttached = false;
    const connection = this.#socket.id;
    const request = { sessionId: this.sessionId, received: this.#pair.arrived };
    this.#socket
      .timeout(ACK_MS)
      .emit('session:attach', request, (timedOut: Error | null, ack: Ack<Attached>) => {
        this.#attaching = false;
        if (this.#isClosed) return;
        // Another connection has replaced this one, or will.
        if (this.#socket.id !== connection) return this.attach();
        if (!timedOut && ack.ok) {
          this.#attempts = 0;
          this.#isAttached = true;
          this.#receivedAt = performance.now();
          this.#pair.resume();
        } else if (timedOut || ack.ok || TRANSIENT_REFUSALS.includes(ack.code)) {
          this.#attempts += 1;
          setTimeout(() => this.attach(), backoff(this.#attempts, { maxMs: 3000 }));
        } else this.lost(ack.message);
      });
  }

  #emitAbort(message: string): void {
    const request = { sessionId: this.sessionId, message: message.slice(0, 500) };
    if (this.#socket.connected) this.#socket.emit('session:abort', request);
  }

  #fail(error: SessionClosedError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pair.fail(error);
    this.#closed.reject(error);
    this.#onClosed();
  }
}

const textOf = (reason: unknown): string | undefined =>
  reason instanceof Error ? reason.message : typeof reason === 'string' ? reason : undefined;
