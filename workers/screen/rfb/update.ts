import { type Parser, ProtocolError } from './feed.ts';
import { checkedSize } from './handshake.ts';
import { type Area, ENCODING, type Size } from './messages.ts';
import { readTight, type TightStreams } from './tight.ts';

/** A part of the screen. `data` follows its header; it is self-contained, but a copy needs the screen. */
export type Rect = Area & { encoding: number; data: Buffer };

export const RECT_HEAD_BYTES = 12;
const MAX_RECTS = 10_000;
/** Most pixels of one band of plain pixels: a server may send the screen as one rectangle. */
const BAND_PIXELS = 2 ** 16;
/** In place of a count: a rectangle of its own marks the end. */
const UNTIL_LAST = 0xffff;

/** A pointer's picture: red, green, blue and alpha of each pixel, the colours multiplied by alpha. */
export type CursorShape = { width: number; height: number; hotspot: { x: number; y: number }; rgba: Buffer };
/** Receives the pointer of a server that was asked to report it apart from the pixels. */
type PointerHandler = {
  shape: (shape: CursorShape) => void;
  moved: (x: number, y: number) => void;
};
/** Largest pointer, pixels a side. */
const MAX_CURSOR_SIDE = 256;

/** The facts of an update besides its rectangles. `size`: the new size of the screen, which is empty now. */
export type Update = { size: Size | undefined; screenId: number | undefined };

/** `take` receives each rectangle, in order. */
export type UpdateHandler = { take: (rect: Rect) => void; pointer?: PointerHandler };

/** Parses one FramebufferUpdate, after its message type. */
export function* readUpdate(
  screen: Size,
  streams: TightStreams,
  { take, pointer }: UpdateHandler,
): Parser<Update> {
  const count = (yield 3).readUInt16BE(1);
  const update: Update = { size: undefined, screenId: undefined };
  let size = screen;
  for (let index = 0; index < count || count === UNTIL_LAST; index++) {
    if (index >= MAX_RECTS) throw new ProtocolError('an update of too many rectangles');
    const head = yield RECT_HEAD_BYTES;
    const area = {
      x: head.readUInt16BE(0),
      y: head.readUInt16BE(2),
      w: head.readUInt16BE(4),
      h: head.readUInt16BE(6),
    };
    const encoding = head.readInt32BE(8);
    if (encoding === ENCODING.lastRect) break;
    if (encoding === ENCODING.desktopSize || encoding === ENCODING.extendedDesktopSize) {
      if (encoding === ENCODING.extendedDesktopSize) update.screenId = yield* readLayout();
      // In the extended form, a `y` other than 0 means that the server refused a request.
      if (encoding === ENCODING.extendedDesktopSize && area.y !== 0) continue;
      if (area.w === size.width && area.h === size.height) continue;
      size = checkedSize(area.w, area.h);
      update.size = size;
      continue;
    }
    if (pointer && encoding === ENCODING.cursorPosition) {
      pointer.moved(area.x, area.y);
      continue;
    }
    if (pointer && encoding === ENCODING.cursorWithAlpha) {
      pointer.shape(yield* readCursor(area));
      continue;
    }
    if (!isInside(area, size)) throw new ProtocolError('a rectangle outside of the screen');
    if (encoding === ENCODING.raw) yield* readRaw(area, take);
    else take({ ...area, encoding, data: yield* readPayload(area, encoding, size, streams) });
  }
  return update;
}

/** Reads a cursor with alpha; its place is the hotspot. */
function* readCursor({ x, y, w, h }: Area): Parser<CursorShape> {
  if (w > MAX_CURSOR_SIDE || h > MAX_CURSOR_SIDE) throw new ProtocolError('a pointer that is too large');
  if ((yield 4).readInt32BE() !== ENCODING.raw) throw new ProtocolError('a pointer that is not plain pixels');
  return { width: w, height: h, hotspot: { x, y }, rgba: Buffer.from(yield w * h * 4) };
}

const isInside = ({ x, y, w, h }: Area, { width, height }: Size): boolean =>
  w > 0 && h > 0 && x + w <= width && y + h <= height;

function* readRaw({ x, y, w, h }: Area, take: (rect: Rect) => void): Parser<void> {
  const band = Math.max(1, Math.floor(BAND_PIXELS / w));
  for (let row = 0; row < h; row += band) {
    const rows = Math.min(band, h - row);
    take({ x, y: y + row, w, h: rows, encoding: ENCODING.raw, data: Buffer.from(yield w * rows * 4) });
  }
}

function* readPayload({ w, h }: Area, encoding: number, screen: Size, streams: TightStreams): Parser<Buffer> {
  if (encoding === ENCODING.copyRect) {
    const source = Buffer.from(yield 4);
    if (!isInside({ x: source.readUInt16BE(0), y: source.readUInt16BE(2), w, h }, screen)) {
      throw new ProtocolError('a copy from outside of the screen');
    }
    return source;
  }
  if (encoding === ENCODING.tight) {
    return yield* readTight(w, h, streams);
  }
  throw new ProtocolError(`encoding ${encoding} was not requested`);
}

/** Reads the screens of an ExtendedDesktopSize. @returns the id of the first */
function* readLayout(): Parser<number | undefined> {
  const screens = (yield 4).readUInt8();
  const layout = yield 16 * screens;
  return screens > 0 ? layout.readUInt32BE(0) : undefined;
}
