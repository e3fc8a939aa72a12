import { MAX_CHUNK_BYTES, type SessionFrame } from './frames.ts';
import { SessionStream } from './stream.ts';

/** Wakes all waiters on each notification; they check their condition again. */
class Signal {
  #next = Promise.withResolvers<void>();

  wait(): Promise<void> {
    return this.#next.promise;
  }

  notify(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }
}

/** One end of a session as a pair of Web streams. Its user carries the frames. */
export class SessionPair {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #stream: SessionStream;
  readonly #onReady: () => void;
  readonly #arrived = new Signal();
  readonly #acknowledged = new Signal();
  #error: Error | undefined;
  #isFinished = false;
  #isCancelled = false;

  /**
   * @param chunkBytes the largest chunk that the connection carries
   * @param onReady called when {@link SessionPair.next} may have a frame
   * @param onAbort called when the writer aborts
   * @param windowBytes the most bytes that it sends beyond those that the peer has read
   */
  constructor(
    chunkBytes: number,
    onReady: () => void,
    onAbort: (reason: unknown) => void,
    windowBytes?: number,
  ) {
    this.#stream = new SessionStream(chunkBytes, windowBytes);
    this.#onReady = onReady;
    this.readable = new ReadableStream(
      {
        pull: (controller) => this.#pull(controller),
        cancel: () => {
          this.#isCancelled = true;
          this.#discard();
        },
      },
      // Nothing is read ahead: bytes that the reader has not taken are no credit for the peer.
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream({
      // Called before a pending write that waits for credit ends.
      start: ({ signal }) => signal.addEventListener('abort', () => onAbort(signal.reason), { once: true }),
      write: (bytes) => this.#write(bytes),
      close: () => {
        this.#stream.outgoing.end();
        onReady();
      },
    });
  }

  /** Bytes that have arrived since the session began. */
  get arrived(): number {
    return this.#stream.incoming.arrived;
  }

  /** Memory for the bytes that wait in both directions. */
  get capacity(): number {
    return this.#stream.incoming.capacity + this.#stream.outgoing.capacity;
  }

  /** Has all that was written, with its end, arrived at the peer? */
  get isDelivered(): boolean {
    return this.#stream.outgoing.isDelivered;
  }

  /** @throws SessionProtocolError when the peer violates the protocol */
  receive(frame: SessionFrame): void {
    this.#stream.receive(frame);
    if (frame.t === 'ack') this.#acknowledged.notify();
    else if (this.#isCancelled) this.#discard();
    else this.#arrived.notify();
    this.#onReady();
  }

  /** @returns the next frame to send, if there is one */
  next(): SessionFrame | undefined {
    return this.#stream.next();
  }

  /** Both ends send the bytes again that have not arrived. */
  resume(): void {
    this.#stream.resume();
    this.#onReady();
  }

  tick(): void {
    this.#stream.tick();
    this.#onReady();
  }

  /** Ends the outgoing direction: later writes are refused. */
  end(): void {
    this.#stream.outgoing.end();
    this.#acknowledged.notify();
    this.#onReady();
  }

  /** Completes the session: bytes that have arrived may still be read. */
  finish(): void {
    this.#isFinished = true;
    this.#wake();
  }

  /** Ends a session that is not complete: reading and writing reject with the error. */
  fail(error: Error): void {
    this.#error ??= error;
    this.#wake();
  }

  #wake(): void {
    this.#arrived.notify();
    this.#acknowledged.notify();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const { incoming } = this.#stream;
    for (;;) {
      if (this.#error) throw this.#error;
      if (incoming.unread > 0) {
        controller.enqueue(incoming.read(MAX_CHUNK_BYTES));
        break;
      }
      if (incoming.isAtEnd || this.#isFinished) {
        incoming.readEnd();
        controller.close();
        break;
      }
      await this.#arrived.wait();
    }
    this.#onReady();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { outgoing } = this.#stream;
    for (let at = 0; at < bytes.length; ) {
      if (this.#error) throw this.#error;
      if (outgoing.isEnded || this.#isFinished)
        throw new Error('The session takes no more bytes: it has ended.');
      const taken = outgoing.write(bytes.subarray(at));
      at += taken;
      if (taken > 0) this.#onReady();
      else await this.#acknowledged.wait();
    }
  }

  /** Discards arriving bytes, as the reader has cancelled. */
  #discard(): void {
    const { incoming } = this.#stream;
    while (incoming.unread > 0) incoming.read(MAX_CHUNK_BYTES);
    if (incoming.isAtEnd) incoming.readEnd();
    this.#onReady();
  }
}
