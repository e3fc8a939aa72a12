import { ByteQueue } from './bytes.ts';
import { MAX_CHUNK_BYTES, type SessionAck, SessionProtocolError, WINDOW_BYTES } from './frames.ts';

/** Credit is released after this many bytes were read. */
const ACK_EVERY_BYTES = WINDOW_BYTES / 8;
/** An acknowledgement without progress is sent as a sign of life once in this many ticks. */
const BEAT_TICKS = 5;

/** One direction of a session at its receiver, which keeps the bytes that have not been read yet. */
export class IncomingBytes {
  readonly #kept = new ByteQueue();
  /** Bytes before this position were read; with {@link IncomingBytes.#kept} they are all that has arrived. */
  #read = 0;
  #total: number | undefined;
  #endRead = false;
  #acked = { received: 0, consumed: 0 };
  #due = false;
  #resend = false;
  /** Where the last gap was found: a gap is reported once. */
  #gapAt = -1;
  #ticks = 0;

  /** Bytes that have arrived since the session began. */
  get arrived(): number {
    return this.#read + this.#kept.length;
  }

  /** The position up to which all has arrived. */
  get received(): number {
    return this.arrived + (this.#total === undefined ? 0 : 1);
  }

  /** Bytes that wait to be read. */
  get unread(): number {
    return this.#kept.length;
  }

  /** Memory for the bytes that wait to be read. */
  get capacity(): number {
    return this.#kept.capacity;
  }

  /** Has the end come, and was all before it read? */
  get isAtEnd(): boolean {
    return this.#total === this.#read;
  }

  /** @throws SessionProtocolError when the peer sends more than it has credit for, or beyond the end */
  data(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > this.#read + WINDOW_BYTES)
      throw new SessionProtocolError('The data exceeds the credit of its receiver.');
    if (bytes.length > MAX_CHUNK_BYTES) throw new SessionProtocolError('The chunk is too long.');
    if (this.#total !== undefined && end > this.#total) {
      throw new SessionProtocolError('The data continues after the end.');
    }
    const seen = this.arrived - offset;
    if (seen < 0) this.#gap();
    else if (seen < bytes.length) this.#kept.push(bytes.subarray(seen));
    // The peer repeats bytes whose acknowledgement it has not received.
    else this.#due = true;
  }

  /** @throws SessionProtocolError when the end comes before bytes that were sent */
  end(total: number): void {
    if (total < this.arrived || (this.#total ?? total) !== total) {
      throw new SessionProtocolError('The end precedes bytes that were sent.');
    }
    if (total > this.arrived) this.#gap();
    else {
      this.#total = total;
      this.#due = true;
    }
  }

  /** Reads at most `most` of the bytes that wait. */
  read(most: number): Uint8Array<ArrayBuffer> {
    const bytes = this.#kept.copy(0, most);
    this.#kept.drop(bytes.length);
    this.#read += bytes.length;
    if (this.#read - this.#acked.consumed >= ACK_EVERY_BYTES) this.#due = true;
    return bytes;
  }

  /** Records that the reader has reached the end. */
  readEnd(): void {
    if (!this.#endRead) this.#due = true;
    this.#endRead = true;
  }

  /** Asks the peer to send again what has not arrived, after a new attachment. */
  resume(): void {
    this.#resend = true;
    this.#due = true;
  }

  /** Called every {@link TICK_MS}. */
  tick(): void {
    const { received, consumed } = this.#acked;
    this.#ticks = (this.#ticks + 1) % BEAT_TICKS;
    const hasProgress = this.received > received || this.#consumed > consumed;
    if (hasProgress || this.#ticks === 0) this.#due = true;
  }

  /** @returns the acknowledgement that is due, if one is */
  next(): SessionAck | undefined {
    if (!this.#due) return undefined;
    this.#due = false;
    const ack = { received: this.received, consumed: this.#consumed };
    const resend = this.#resend;
    this.#acked = ack;
    this.#resend = false;
    return { t: 'ack', ...ack, ...(resend ? { resend } : {}) };
  }

  get #consumed(): number {
    return this.#read + (this.#endRead ? 1 : 0);
  }

  #gap(): void {
    if (this.#gapAt === this.arrived) return;
    this.#gapAt = this.arrived;
    this.resume();
  }
}
