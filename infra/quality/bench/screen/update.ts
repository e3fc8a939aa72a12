import { type Parser, skip } from '../../../../workers/screen/rfb/feed.ts';
import { ENCODING } from '../../../../workers/screen/rfb/messages.ts';
import { TightStreams } from '../../../../workers/screen/rfb/tight.ts';
import type { Marker } from './marker.ts';

const DESKTOP_NAME = -307;
const RAW_BYTES = 4;
const FILL = 8;
const JPEG = 9;

/** How a viewer reads the marker. */
export type Looking = {
  marker: Marker;
  streams: TightStreams;
  /** Each rectangle can be decoded on its own: only those that show the marker are inflated. */
  selfContained: boolean;
};

export const lookFor = (marker: Marker, selfContained: boolean): Looking => ({
  marker,
  streams: new TightStreams(),
  selfContained,
});

/** Parses a FramebufferUpdate after its first byte; decodes only the marker's pixels. */
export function* readUpdate(looking?: Looking): Parser<void> {
  const count = (yield 3).readUInt16BE(1);
  for (let index = 0; index < count; index++) {
    const head = yield 12;
    const [x, y, w, h] = [0, 2, 4, 6].map((at) => head.readUInt16BE(at)) as [number, number, number, number];
    const encoding = head.readInt32BE(8);
    if (encoding === ENCODING.lastRect) return;
    if (encoding === ENCODING.tight) yield* readTight([x, y, w, h], looking);
    else if (encoding === ENCODING.extendedDesktopSize) yield* skip(16 * (yield 4).readUInt8());
    else if (encoding === ENCODING.copyRect) yield* skip(4);
    else if (encoding === DESKTOP_NAME) yield* skip((yield 4).readUInt32BE());
    else if (encoding === ENCODING.raw) {
      if (!looking?.marker.touches(x, y, w, h)) yield* skip(w * h * RAW_BYTES);
      else {
        const pixels = yield w * h * RAW_BYTES;
        looking.marker.draw(x, y, w, (column, row) => pixels[(row * w + column) * RAW_BYTES]);
      }
    } else if (encoding !== ENCODING.desktopSize) throw new Error(`encoding ${encoding}`);
  }
}

function* readTight([x, y, w, h]: [number, number, number, number], looking?: Looking): Parser<void> {
  const shows = looking?.marker.touches(x, y, w, h) ?? false;
  const control = (yield 1).readUInt8();
  const kind = control >> 4;
  looking?.streams.reset(control & 15);
  if (kind === FILL) {
    const [red] = yield 3;
    if (shows) looking?.marker.draw(x, y, w, () => red);
    return;
  }
  // The marker has three colours, which is too few for a JPEG.
  if (kind === JPEG) return yield* skip(yield* readLength());
  let palette: Buffer | undefined;
  if (kind & 4 && (yield 1).readUInt8() === 1) {
    const last = (yield 1).readUInt8();
    palette = Buffer.from(yield 3 * (last + 1));
  }
  const bits = !palette ? 24 : palette.length > 6 ? 8 : 1;
  const rowBytes = (w * bits + 7) >> 3;
  const size = rowBytes * h;
  let pixels: Buffer;
  if (size < 12) pixels = yield size;
  else {
    const length = yield* readLength();
    if (!looking || (looking.selfContained && !shows)) return yield* skip(length);
    pixels = looking.streams.inflate(kind & 3, yield length, size);
  }
  if (shows) looking?.marker.draw(x, y, w, (column, row) => red(pixels, row * rowBytes, column, palette));
}

/** Reads the red of a pixel in a row that begins at byte `at`. */
function red(pixels: Buffer, at: number, column: number, palette?: Buffer): number | undefined {
  if (!palette) return pixels[at + column * 3];
  if (palette.length > 6) return palette[3 * (pixels[at + column] ?? 0)];
  return palette[3 * (((pixels[at + (column >> 3)] ?? 0) >> (7 - (column & 7))) & 1)];
}

/** Reads a length of seven, seven and eight bits, the lowest first. */
function* readLength(): Parser<number> {
  let value = 0;
  for (const shift of [0, 7, 14]) {
    const byte = (yield 1).readUInt8();
    value |= (shift === 14 ? byte : byte & 127) << shift;
    if (byte < 128) break;
  }
  return value;
}
