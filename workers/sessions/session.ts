import type { SessionCommand } from '@warmwind/shared/contract/command';
import type { RequestEnvelope } from '@warmwind/shared/contract/envelope';
import {
  SESSION_GRACE_MS,
  SESSION_SILENT_MS,
  type SessionCode,
} from '@warmwind/shared/contract/sessions/codes';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { MAX_CHUNK_BYTES, SessionProtocolError } from '@warmwind/shared/runtime/session/frames';
import {
  type FrameHead,
  type FromSessionHost,
  frameOf,
  type ToSessionHost,
} from '@warmwind/shared/runtime/session/messages';
import { SessionPair } from '@warmwind/shared/runtime/session/pair';
import { SessionEndedError, type SessionHandler } from './handler.ts';

/** How long the end of a session is kept, so that a client that reconnects receives it, ms. */
const KNOWN_MS = SESSION_GRACE_MS;

export type SessionOptions = {
  command: SessionCommand;
  envelope: RequestEnvelope;
  handler: SessionHandler<never>;
  /** Its input, checked. */
  input: unknown;
  /** Resolves with the path of the container's RFB socket. */
  socketPath: () => Promise<string>;
  /** Sends to an attachment; resolves with the number of relay nodes that receive it. */
  publish: (link: string, head: FromSessionHost, bytes?: Uint8Array) => Promise<number>;
  /** How long the session waits for its client to attach again, ms. */
  graceMs: number;
  log: Logger;
};

/** One session of a container that runs here, over as many attachments as its client needs. */
export class HostSession {
  readonly #o: SessionOptions;
  readonly #pair: SessionPair;
  readonly #abort = new AbortController();
  readonly #expiresAt: number;
  #link: string;
  /** When the attachment last sent a message, and since when there is none, by `performance.now()`. */
  #receivedAt = performance.now();
  #detachedAt: number | undefined;
  #movedAt = performance.now();
  #sending = false;
  /** The handler has returned: the session ends when all bytes have arrived. */
  #result: { value: unknown } | undefined;
  #closed: Extract<FromSessionHost, { t: 'closed' }> | undefined;
  #closedAt = 0;
  readonly done: Promise<void>;

  constructor(options: SessionOptions, link: string) {
    this.#o = options;
    this.#link = link;
    const { command, envelope, handler, input, socketPath } = options;
    this.#expiresAt = Date.now() + command.maxMs;
    this.#pair = new SessionPair(
      MAX_CHUNK_BYTES,
      () => void this.#send(),
      (reason) => this.end('failed', reason instanceof Error ? reason.message : 'The session was aborted.'),
      command.windowBytes,
    );
    const { readable, writable } = this.#pair;
    const { signal } = this.#abort;
    const { userId, containerId, callId } = envelope;
    this.#publishAttached();
    const context = { userId, containerId, sessionId: callId, readable, writable, signal, socketPath };
    this.done = handler({ ...context, input: input as never }).then(
      (value) => {
        this.#result = { value };
        this.#pair.end();
        this.#settle();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  get userId(): string {
    return this.#o.envelope.userId;
  }

  get containerId(): string {
    return this.#o.envelope.containerId;
  }

  /** True when the session has ended; its end is kept for some time. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  get isForgotten(): boolean {
    return this.#closed !== undefined && performance.now() - this.#closedAt > KNOWN_MS;
  }

  /** Memory of its buffers, bytes. */
  get capacity(): number {
    return this.#pair.capacity;
  }

  /** Attaches the client again. @param received the bytes that the client has */
  attach(link: string, received: number): void {
    if (this.#link !== link && this.#detachedAt === undefined) this.#publish({ t: 'replaced' });
    this.#link = link;
    this.#noteReceived();
    this.#publishAttached();
    if (this.#closed) this.#publish(this.#closed);
    else {
      this.#guard(() => this.#pair.receive({ t: 'ack', received, consumed: 0, resend: true }));
      this.#pair.resume();
    }
  }

  /** Takes a message of the client. A replaced attachment is ignored. */
  receive(link: string, head: Exclude<ToSessionHost, { t: 'open' | 'attach' }>, bytes: Uint8Array): void {
    if (link !== this.#link) return;
    if (head.t === 'detach') this.#detachedAt ??= performance.now();
    else if (this.#closed) this.#publish(this.#closed);
    else if (head.t === 'abort') this.end('aborted', head.message);
    else this.#take(head, bytes);
  }

  #take(head: FrameHead, bytes: Uint8Array): void {
    this.#noteReceived();
    if (head.t === 'data') this.#movedAt = performance.now();
    this.#guard(() => this.#pair.receive(frameOf(head, bytes)));
    const { maxInputBytes = Number.POSITIVE_INFINITY } = this.#o.command;
    if (this.#pair.arrived > maxInputBytes) {
      this.end('too_large', `This session takes ${maxInputBytes} bytes at most. Send less.`);
    }
    this.#settle();
  }

  /** Ends the session before it is complete. Has no effect on a session that has ended. */
  end(code: SessionCode, message: string): void {
    if (this.#closed) return;
    this.#pair.fail(new SessionEndedError(code, message));
    this.#close({ t: 'closed', code, message });
  }

  /** Checks the time limits; called once a second. */
  tick(): void {
    const now = performance.now();
    const { idleMs = Number.POSITIVE_INFINITY } = this.#o.command;
    if (this.#closed) return;
    if (now - this.#receivedAt > SESSION_SILENT_MS) this.#detachedAt ??= this.#receivedAt;
    if (Date.now() > this.#expiresAt) {
      this.end('deadline_exceeded', 'The session reached its deadline. Open another one.');
    } else if (now - this.#movedAt > idleMs) {
      this.end('idle_timeout', 'Nothing was sent for too long. Open another session.');
    } else if (this.#detachedAt !== undefined && now - this.#detachedAt > this.#o.graceMs) {
      this.end('lost', 'The client did not attach again in time. Open another session.');
    } else this.#pair.tick();
  }

  #noteReceived(): void {
    this.#receivedAt = performance.now();
    if (this.#detachedAt === undefined) return;
    this.#detachedAt = undefined;
    this.#pair.resume();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof SessionProtocolError)) throw error;
      this.end('protocol_error', error.message);
    }
  }

  /** Sends the frames that are due, one after the other, while the client is attached. Never rejects. */
  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    // Writes of the same turn go into one chunk.
    await Promise.resolve();
    while (this.#detachedAt === undefined && !this.#closed) {
      const frame = this.#pair.next();
      if (!frame) break;
      const link = this.#link;
      if (frame.t === 'data') this.#movedAt = performance.now();
      const { bytes, ...head } = frame.t === 'data' ? frame : { ...frame, bytes: undefined };
      const listeners = await this.#o.publish(link, head as FromSessionHost, bytes).catch(() => 0);
      if (listeners === 0 && link === this.#link) this.#detachedAt ??= performance.now();
    }
    this.#sending = false;
  }

  #settle(): void {
    if (!this.#result || this.#closed || !this.#pair.isDelivered) return;
    this.#pair.finish();
    const message = 'The session is complete.';
    this.#close({ t: 'closed', code: 'completed', message, result: this.#result.value });
  }

  #failed(error: unknown): void {
    const { log, command, envelope } = this.#o;
    const known = error instanceof SessionEndedError;
    if (!known && !this.#closed)
      log.warn({ kind: command.kind, callId: envelope.callId, err: error }, 'session failed');
    this.end(known ? error.code : 'failed', known ? error.message : 'The session failed. Open another one.');
  }

  #close(closed: Extract<FromSessionHost, { t: 'closed' }>): void {
    this.#closed = closed;
    this.#closedAt = performance.now();
    this.#abort.abort(new SessionEndedError(closed.code, closed.message));
    this.#publish(closed);
  }

  #publishAttached(): void {
    const { incarnation } = this.#o.envelope;
    this.#publish({ t: 'attached', expiresAt: this.#expiresAt, incarnation });
  }

  #publish(head: FromSessionHost): void {
    this.#o.publish(this.#link, head).catch(() => undefined);
  }
}
