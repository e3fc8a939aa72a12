const LEAST_BYTES = 4096;

/** A queue of bytes whose memory grows with its content; its user bounds the size. */
export class ByteQueue {
  #bytes = new Uint8Array(LEAST_BYTES);
  #start = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Its memory, bytes. */
  get capacity(): number {
    return this.#bytes.length;
  }

  push(bytes: Uint8Array): void {
    this.#reserve(this.#length + bytes.length);
    const at = (this.#start + this.#length) % this.#bytes.length;
    const first = Math.min(bytes.length, this.#bytes.length - at);
    this.#bytes.set(bytes.subarray(0, first), at);
    this.#bytes.set(bytes.subarray(first), 0);
    this.#length += bytes.length;
  }

  /** @returns a copy of at most `most` bytes from an index on */
  copy(from: number, most: number): Uint8Array<ArrayBuffer> {
    const length = Math.min(most, this.#length - from);
    const copy = new Uint8Array(length);
    const at = (this.#start + from) % this.#bytes.length;
    const first = Math.min(length, this.#bytes.length - at);
    copy.set(this.#bytes.subarray(at, at + first), 0);
    copy.set(this.#bytes.subarray(0, length - first), first);
    return copy;
  }

  /** Removes its first bytes; an empty queue releases its memory. */
  drop(count: number): void {
    this.#length -= count;
    this.#start = (this.#start + count) % this.#bytes.length;
    if (this.#length > 0) return;
    this.#start = 0;
    if (this.#bytes.length > LEAST_BYTES) this.#bytes = new Uint8Array(LEAST_BYTES);
  }

  #reserve(bytes: number): void {
    let size = this.#bytes.length;
    while (size < bytes) size *= 2;
    if (size === this.#bytes.length) return;
    const grown = new Uint8Array(size);
    grown.set(this.copy(0, this.#length));
    this.#bytes = grown;
    this.#start = 0;
  }
}
