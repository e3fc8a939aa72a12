import { constants, createDeflate, createInflate, type Zlib, type ZlibReset } from 'node:zlib';

/**
 * A zlib stream that is used synchronously, many times. Node's own synchronous calls make a new one for each
 * piece, of some 300 KB outside of its heap: at some hundred pieces a second that alone keeps the garbage
 * collector busy. This file uses Node's internals on one stream instead. They are not public, so it depends
 * on Node's version, which is pinned.
 */
type Engine = Zlib &
  ZlibReset &
  NodeJS.ReadWriteStream & {
    errored: Error | null;
    _handle: {
      writeSync(
        flush: number,
        input: Buffer,
        inputAt: number,
        inputLength: number,
        output: Buffer,
        outputAt: number,
        outputLength: number,
      ): void;
    } | null;
    /** Bytes left after a write: room in the output, and input not taken. */
    _writeState: Uint32Array;
  };

function engineOf(zlib: Zlib & ZlibReset & NodeJS.ReadWriteStream): Engine {
  // `write` throws the error.
  zlib.on('error', () => undefined);
  return zlib as Engine;
}

/**
 * Writes to a stream.
 * @returns the number of bytes in the output
 * @throws Error when the input is malformed, or does not fit into the output
 */
function write(engine: Engine, flush: number, input: Buffer, output: Buffer): number {
  if (!engine._handle) throw new Error('the stream is closed');
  engine._handle.writeSync(flush, input, 0, input.length, output, 0, output.length);
  if (engine.errored) throw engine.errored;
  const [room = 0, left = 0] = engine._writeState;
  if (left > 0) throw new Error('not all of it was taken');
  return output.length - room;
}

/** Inflates the parts of one stream, each of which ends in a sync flush. */
export class Inflater {
  #engine = engineOf(createInflate());

  reset(): void {
    this.#engine.reset();
  }

  /**
   * Inflates one part.
   * @param output with room for one byte more than the result
   * @returns the result, within `output`
   * @throws Error when the part is malformed, or does not fit
   */
  inflate(part: Buffer, output: Buffer): Buffer {
    return output.subarray(0, write(this.#engine, constants.Z_SYNC_FLUSH, part, output));
  }
}

/** Deflates pieces, each as a stream of its own. */
export class Deflater {
  readonly #engine: Engine;

  constructor(level: number) {
    this.#engine = engineOf(createDeflate({ level }));
  }

  /**
   * Deflates one piece.
   * @param output with room for the worst case: a thousandth more, and 64 bytes
   * @returns the result, within `output`
   */
  deflate(piece: Buffer, output: Buffer): Buffer {
    this.#engine.reset();
    return output.subarray(0, write(this.#engine, constants.Z_FINISH, piece, output));
  }
}
