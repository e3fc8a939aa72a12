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

const ACK_MS = 10_000;
/** Refusals that pass: attaching is tried again. */
const PASSING: readonly string[] = ['unavailable', 'rate_limited', 'internal', 'conflict'];

/** A session that was not opened: the relay or the host of its container refused it. */
export class SessionRefusedError extends Error {
  override name = 'SessionRefusedError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A session that ended before it was complete. */
export class SessionClosedError extends Error {
  override name = 'SessionClosedError';
  readonly code: SessionCode;

  constructor(code: SessionCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An open session: a pair of byte streams that outlives its connection. */
export type ClientSession<Kind extends SessionKind = SessionKind> = {
  readonly sessionId: string;
  /** Of the container: pin it to find this one again, and no other. */
  readonly incarnation: number;
  readonly expiresAt: string;
  /** Bytes of the container. What is not read holds its sender up. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to the container; closing it ends this direction alone. */
  readonly writable: WritableStream<Uint8Array>;
  /** The result, when the session is complete; rejects with a {@link SessionClosedError}. */
  readonly closed: Promise<SessionResults[Kind]>;
  /** Ends it at once. */
  abort(message?: string): void;
};

export type Attached = { sessionId: string; incarnation: number; expiresAt: string };
export type Closed = { code: SessionCode; message: string; result?: unknown };

/** One session at its client: attaches again whenever its connection was lost. */
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
  #heardAt = performance.now();

  /** @param onReady called when {@link AttachedSession.next} may have a frame */
  constructor(attached: Attached, socket: Socket, onReady: () => void, onClosed: () => void) {
    this.sessionId = attached.sessionId;
    this.#socket = socket;
    this.#onClosed = onClosed;
    this.#pair = new SessionPair(MAX_UPLOAD_CHUNK_BYTES, onReady, (reason) => this.abort(textOf(reason)));
    // Whoever does not look at it is told by the streams.
    this.#closed.promise.catch(() => undefined);
  }

  /** As its user has it. */
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

  /** @returns what is sent next, nothing while it is not attached */
  next(): SessionFrame | undefined {
    return this.#isAttached && !this.#isClosed ? this.#pair.next() : undefined;
  }

  receive(frame: SessionFrame): void {
    if (this.#isClosed) return;
    this.#heardAt = performance.now();
    try {
      this.#pair.receive(frame);
    } catch (error) {
      if (!(error instanceof SessionProtocolError)) throw error;
      this.#emitAbort(error.message);
      this.#fail(new SessionClosedError('protocol_error', error.message));
    }
  }

  /** The session has ended at its host. */
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

  abort(message = 'The client aborted the session.'): void {
    if (this.#isClosed) return;
    this.#emitAbort(message);
    this.#fail(new SessionClosedError('aborted', message));
  }

  /** It can't come back. */
  lost(message = 'The session was not attached again in time: open another one.', cause?: unknown): void {
    this.#fail(new SessionClosedError('lost', message, { cause }));
  }

  /** The connection carries it no more. */
  detached(): void {
    this.#isAttached = false;
  }

  /** Called once a second. */
  tick(): void {
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs > SESSION_SILENT_MS + SESSION_GRACE_MS) this.lost();
    else if (silentMs > SESSION_SILENT_MS) this.attach();
    else if (this.#isAttached) this.#pair.tick();
  }

  /** Attaches to it over the present connection; what passes is tried again. */
  attach(): void {
    if (this.#attaching || this.#isClosed || !this.#socket.connected) return;
    this.#attaching = true;
    this.#isAttached = false;
    const connection = this.#socket.id;
    const request = { sessionId: this.sessionId, received: this.#pair.arrived };
    this.#socket.timeout(ACK_MS).emit('session:attach', request, (late: Error | null, ack: Ack<Attached>) => {
      this.#attaching = false;
      if (this.#isClosed) return;
      // Another connection has come meanwhile, or will.
      if (this.#socket.id !== connection) return this.attach();
      if (!late && ack.ok) {
        this.#attempts = 0;
        this.#isAttached = true;
        this.#heardAt = performance.now();
        this.#pair.resume();
      } else if (late || ack.ok || PASSING.includes(ack.code)) {
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
