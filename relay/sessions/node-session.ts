import { SessionClosedError } from '@warmwind/shared/client/session';
import { ApiError } from '@warmwind/shared/contract/errors';
import { SESSION_GRACE_MS, SESSION_SILENT_MS } from '@warmwind/shared/contract/sessions/codes';
import { findSessionCommand } from '@warmwind/shared/contract/sessions/registry';
import { backoff } from '@warmwind/shared/runtime/backoff';
import {
  MAX_CHUNK_BYTES,
  type SessionFrame,
  SessionProtocolError,
  TICK_MS,
} from '@warmwind/shared/runtime/session/frames';
import { SessionPair } from '@warmwind/shared/runtime/session/pair';
import type { Attached, Detached, Ended, Link, LinkClient } from './link.ts';
import type { Opening } from './opening.ts';
import type { SessionAddress, Sessions } from './sessions.ts';

/**
 * A session whose client is this node: a WebSocket or a request over HTTP. Its streams have backpressure, and
 * it attaches again after the host or Redis was away.
 */
export class NodeSession {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves with the result; rejects with a `SessionClosedError`. */
  readonly closed: Promise<unknown>;
  readonly #sessions: Sessions;
  readonly #address: SessionAddress;
  readonly #userId: string;
  readonly #pair: SessionPair;
  readonly #end = Promise.withResolvers<unknown>();
  readonly #timer: NodeJS.Timeout;
  #link: Link | undefined;
  #isClosed = false;
  #isSending = false;
  #isAttaching = false;
  #receivedAt = performance.now();

  private constructor(sessions: Sessions, { address, head }: Opening) {
    this.#sessions = sessions;
    this.#address = address;
    this.#userId = head.envelope.userId;
    this.#pair = new SessionPair(
      MAX_CHUNK_BYTES,
      () => void this.#send(),
      () => this.abort(),
      findSessionCommand(head.kind)?.windowBytes,
    );
    this.readable = this.#pair.readable;
    this.writable = this.#pair.writable;
    this.closed = this.#end.promise;
    // A caller that ignores this promise receives the error from the streams.
    this.closed.catch(() => undefined);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /**
   * Opens a session.
   * @throws ApiError the refusal of the host, or `unavailable`
   */
  static async open(sessions: Sessions, opening: Opening): Promise<NodeSession> {
    const session = new NodeSession(sessions, opening);
    try {
      await session.#attach(opening.head);
      return session;
    } catch (error) {
      session.#fail(new SessionClosedError('lost', 'The session was not opened.', { cause: error }));
      throw error;
    }
  }

  /** Ends the session at both ends. Has no effect on one that has ended. */
  abort(message = 'The client aborted the session.'): void {
    if (this.#isClosed) return;
    void this.#link?.send({ t: 'abort', message: message.slice(0, 500) });
    this.#fail(new SessionClosedError('aborted', message));
  }

  async #attach(head: Parameters<Link['request']>[0]): Promise<Attached> {
    const client: LinkClient = {
      userId: this.#userId,
      isCrowded: () => false,
      receive: (frame) => this.#receive(frame),
      closed: (ended) => this.#ended(ended),
      detached: (reason) => this.#detached(reason),
    };
    this.#link?.close();
    const link = await this.#sessions.link(this.#address, client, () => {
      if (this.#link === link) this.#link = undefined;
    });
    const attached = await link.request(head);
    this.#receivedAt = performance.now();
    if (this.#isClosed) link.close();
    else {
      this.#link = link;
      link.begin();
      void this.#send();
    }
    return attached;
  }

  /** Attaches again until the grace of the session is over. Never rejects. */
  async #attachAgain(): Promise<void> {
    if (this.#isAttaching) return;
    this.#isAttaching = true;
    const lastAt = performance.now() + SESSION_GRACE_MS;
    for (let attempts = 1; !this.#isClosed; attempts++) {
      const head = { t: 'attach', userId: this.#userId, received: this.#pair.arrived } as const;
      const refusal = await this.#attach(head).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (!refusal) {
        this.#pair.resume();
        break;
      }
      const isFinal = refusal instanceof ApiError && refusal.code === 'not_found';
      if (isFinal || performance.now() > lastAt) {
        this.#fail(new SessionClosedError('lost', 'The session was lost. Try again.', { cause: refusal }));
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, backoff(attempts, { maxMs: 3000 })));
    }
    this.#isAttaching = false;
  }

  #detached(reason: Detached): void {
    if (this.#isClosed) return;
    if (reason === 'replaced') this.#fail(new SessionClosedError('lost', 'The session was taken over.'));
    else void this.#attachAgain();
  }

  #receive(frame: SessionFrame): void {
    if (this.#isClosed) return;
    this.#receivedAt = performance.now();
    try {
      this.#pair.receive(frame);
    } catch (error) {
      if (!(error instanceof SessionProtocolError)) throw error;
      this.abort(error.message);
    }
  }

  #ended({ code, message, result }: Ended): void {
    if (this.#isClosed) return;
    if (code !== 'completed') {
      this.#fail(new SessionClosedError(code, message));
      return;
    }
    this.#finish();
    this.#pair.finish();
    this.#end.resolve(result);
  }

  #tick(): void {
    if (performance.now() - this.#receivedAt > SESSION_SILENT_MS) void this.#attachAgain();
    this.#pair.tick();
  }

  /** Sends the frames that are due, each once Redis has taken the one before. Never rejects. */
  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    // Writes of the same turn go into one chunk.
    await Promise.resolve();
    for (let link = this.#link; link && !this.#isClosed; link = this.#link) {
      const frame = this.#pair.next();
      if (!frame) break;
      const { bytes, ...head } = frame.t === 'data' ? frame : { ...frame, bytes: undefined };
      await link.send(head, bytes);
    }
    this.#isSending = false;
  }

  #fail(error: SessionClosedError): void {
    if (this.#isClosed) return;
    this.#finish();
    this.#pair.fail(error);
    this.#end.reject(error);
  }

  #finish(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#link?.close();
  }
}
