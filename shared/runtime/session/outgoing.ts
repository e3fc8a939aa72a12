import { ByteQueue } from './bytes.ts';
import { type SessionAck, type SessionFrame, SessionProtocolError, WINDOW_BYTES } from './frames.ts';

/** Bytes without an acknowledgement are sent again after this many ticks. */
const RESEND_TICKS = 4;

/** One direction of a session at its sender, which keeps the bytes that the peer has not read yet. */
export class OutgoingBytes {
  readonly #kept = new ByteQueue();
  readonly #chunkBytes: number;
  readonly #windowBytes: number;
  /** Position of the first byte that is kept, and of the one that is sent next. */
  #base = 0;
  #next = 0;
  /** The highest position that was ever sent, and all before this one has arrived. */
  #sent = 0;
  #received = 0;
  /** How many bytes there are, once that is known. */
  #total: number | undefined;
  #overdue = { at: 0, ticks: 0 };

  /** @param windowBytes the most bytes that are kept until the peer has read them */
  constructor(chunkBytes: number, windowBytes = WINDOW_BYTES) {
    this.#chunkBytes = chunkBytes;
    this.#windowBytes = Math.min(windowBytes, WINDOW_BYTES);
  }

  /** Bytes that may be written now. The kept bytes never exceed the window, so all of them may be sent. */
  get room(): number {
    return this.#total === undefined ? this.#windowBytes - this.#kept.length : 0;
  }

  /** Memory for the kept bytes. */
  get capacity(): number {
    return this.#kept.capacity;
  }

  get isEnded(): boolean {
    return this.#total !== undefined;
  }

  /** Has all of it, with its end, arrived at the peer? */
  get isDelivered(): boolean {
    return this.#total !== undefined && this.#received > this.#total;
  }

  /** @returns how many of the bytes were taken */
  write(bytes: Uint8Array): number {
    const taken = Math.min(this.room, bytes.length);
    this.#kept.push(bytes.subarray(0, taken));
    return taken;
  }

  end(): void {
    this.#total ??= this.#base + this.#kept.length;
  }

  /** @returns the next frame to send, if there is one */
  next(): SessionFrame | undefined {
    const written = this.#base + this.#kept.length;
    const offset = this.#next;
    if (offset < written) {
      const bytes = this.#kept.copy(offset - this.#base, this.#chunkBytes);
      this.#advance(offset + bytes.length);
      return { t: 'data', offset, bytes };
    }
    if (this.#total === undefined || offset > this.#total) return undefined;
    this.#advance(offset + 1);
    return { t: 'end', offset };
  }

  /** @throws SessionProtocolError when the peer acknowledges bytes that were never sent */
  acknowledge({ received, consumed, resend }: SessionAck): void {
    if (consumed > received || received > this.#sent) {
      throw new SessionProtocolError('The acknowledgement covers bytes that were not sent.');
    }
    this.#received = Math.max(this.#received, received);
    const read = Math.min(consumed, this.#base + this.#kept.length);
    if (read > this.#base) {
      this.#kept.drop(read - this.#base);
      this.#base = read;
    }
    if (resend) this.resend();
    this.#next = Math.max(this.#next, this.#received);
  }

  /** Sends all bytes again that have not arrived. */
  resend(): void {
    this.#next = this.#received;
    this.#overdue = { at: this.#received, ticks: 0 };
  }

  /** Called every {@link TICK_MS}: bytes that stay without an acknowledgement for some ticks were lost. */
  tick(): void {
    const waits = this.#received < this.#next && this.#received === this.#overdue.at;
    this.#overdue = { at: this.#received, ticks: waits ? this.#overdue.ticks + 1 : 0 };
    if (this.#overdue.ticks >= RESEND_TICKS) this.resend();
  }

  #advance(to: number): void {
    this.#next = to;
    this.#sent = Math.max(this.#sent, to);
  }
}
