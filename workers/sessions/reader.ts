/** The client has ended its direction. */
export class EndOfBytesError extends Error {
  override name = 'EndOfBytesError';
}

/** Reads a stream in pieces of requested lengths. */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(readable: ReadableStream<Uint8Array>) {
    this.#reader = readable.getReader();
  }

  /** Reads exactly `count` bytes. @throws EndOfBytesError when the stream ends before */
  readonly read = async (count: number): Promise<Buffer> => {
    const parts = [this.#rest];
    let length = this.#rest.length;
    while (length < count) {
      const { value, done } = await this.#reader.read();
      if (done) throw new EndOfBytesError('The stream has ended.');
      parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      length += value.byteLength;
    }
    const bytes = parts.length > 1 ? Buffer.concat(parts, length) : this.#rest;
    this.#rest = bytes.subarray(count);
    return bytes.subarray(0, count);
  };
}
