import { type Parser, ProtocolError } from './feed.ts';
import { jpegSize } from './jpeg.ts';
import { Deflater, Inflater } from './zlib.ts';

/** Speed before size: each rectangle is compressed once and sent to a few nodes. */
const DEFLATE_LEVEL = 3;
/** Shorter pixel data is not compressed. */
const MIN_TO_COMPRESS = 12;
const FILL = 8;
const JPEG = 9;
const EXPLICIT_FILTER = 4;
const FILTER = { copy: 0, palette: 1, gradient: 2 } as const;
/** Servers split larger rectangles, except fills: inflating and deflating one takes a few ms. */
const MAX_PIXELS = 2 ** 16;
/** A picture's bytes beyond its pixels': headers and tables. */
const JPEG_OVERHEAD = 4096;

/** Buffers for one inflated and one deflated rectangle. All desktops share them, as they take turns. */
const SCRATCH_BYTES = MAX_PIXELS * 3 + 2048;
const pixelsScratch = Buffer.alloc(SCRATCH_BYTES);
const packedScratch = Buffer.alloc(SCRATCH_BYTES);
const deflater = new Deflater(DEFLATE_LEVEL);
/** For pixels that the server could hardly compress: compressing them takes long and gains nothing. */
const storer = new Deflater(0);
const HARDLY = 0.9;

/** The four zlib streams that a server's Tight rectangles share. Each part ends with a sync flush. */
export class TightStreams {
  readonly #inflaters: (Inflater | undefined)[] = [];

  /** Resets streams. @param bits one bit for each stream */
  reset(bits: number): void {
    for (let id = 0; id < 4; id++) if ((bits >> id) & 1) this.#inflaters[id]?.reset();
  }

  /**
   * Inflates the part of one rectangle.
   * @param size the exact size of the result, bytes
   * @returns bytes that are valid until the next call for any desktop
   * @throws ProtocolError when the part is malformed, or of another size
   */
  inflate(id: number, part: Buffer, size: number): Buffer {
    this.#inflaters[id] ??= new Inflater();
    let pixels: Buffer;
    try {
      pixels = this.#inflaters[id].inflate(part, pixelsScratch.subarray(0, size + 1));
    } catch (cause) {
      throw new ProtocolError('a rectangle cannot be inflated', { cause });
    }
    if (pixels.length !== size) throw new ProtocolError('a rectangle of too few or too many pixels');
    return pixels;
  }
}

/**
 * Reads a Tight rectangle and makes it self-contained: its zlib part is compressed alone, and the stream's
 * reset bit is set. No pixel is decoded.
 * @returns the bytes that follow the rectangle's header
 */
export function* readTight(w: number, h: number, streams: TightStreams): Parser<Buffer> {
  const control = (yield 1).readUInt8();
  const kind = control >> 4;
  streams.reset(control & 15);
  if (kind === FILL) return Buffer.concat([Buffer.of(FILL << 4), yield 3]);
  if (w * h > MAX_PIXELS) throw new ProtocolError('a rectangle of too many pixels');
  if (kind === JPEG) return yield* readJpeg(w, h);
  if (kind > JPEG) throw new ProtocolError('an unknown kind of Tight rectangle');

  const id = kind & 3;
  let head = Buffer.of((kind << 4) | (1 << id));
  let bitsPerPixel = 24;
  if (kind & EXPLICIT_FILTER) {
    const filter = (yield 1).readUInt8();
    head = Buffer.concat([head, Buffer.of(filter)]);
    if (filter === FILTER.palette) {
      const last = (yield 1).readUInt8();
      if (last === 0) throw new ProtocolError('a palette of one colour');
      head = Buffer.concat([head, Buffer.of(last), yield 3 * (last + 1)]);
      bitsPerPixel = last === 1 ? 1 : 8;
    } else if (filter > FILTER.gradient) throw new ProtocolError('an unknown filter');
  }
  const size = ((w * bitsPerPixel + 7) >> 3) * h;
  if (size < MIN_TO_COMPRESS) return Buffer.concat([head, yield size]);
  const length = yield* readLength(size + (size >> 6) + 1024);
  const pixels = streams.inflate(id, yield length, size);
  const packed = (length < HARDLY * size ? deflater : storer).deflate(pixels, packedScratch);
  return Buffer.concat([head, compactLength(packed.length), packed]);
}

/** The browser decodes the JPEG, so its size must be that of its rectangle. */
function* readJpeg(w: number, h: number): Parser<Buffer> {
  const length = yield* readLength(w * h * 3 + JPEG_OVERHEAD);
  const jpeg = yield length;
  const size = jpegSize(jpeg);
  if (size?.width !== w || size.height !== h) {
    throw new ProtocolError('a JPEG of another size than its rectangle');
  }
  return Buffer.concat([Buffer.of(JPEG << 4), compactLength(length), jpeg]);
}

/** Reads a compact length: seven bits, seven bits and eight bits, the lowest first. */
function* readLength(atMost: number): Parser<number> {
  let length = 0;
  for (const shift of [0, 7, 14]) {
    const byte = (yield 1).readUInt8();
    length |= (shift === 14 ? byte : byte & 127) << shift;
    if (byte < 128) break;
  }
  if (length > atMost) throw new ProtocolError('a rectangle is longer than its pixels');
  return length;
}

function compactLength(length: number): Buffer {
  if (length < 1 << 7) return Buffer.of(length);
  if (length < 1 << 14) return Buffer.of((length & 127) | 128, length >> 7);
  return Buffer.of((length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14);
}
