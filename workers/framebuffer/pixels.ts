import { ProtocolError } from '../screen/rfb/feed.ts';
import type { Area, Size } from '../screen/rfb/messages.ts';
import type { Rect } from '../screen/rfb/update.ts';

/** Red, green, blue and an unused byte. */
export const CHANNELS = 4;

/** The pixels of a screen, row by row from the top. */
export class Pixels {
  readonly size: Size;
  readonly data: Buffer;

  /** @param memory holds them from its beginning */
  constructor(size: Size, memory: Buffer) {
    this.size = size;
    this.data = memory.subarray(0, size.width * size.height * CHANNELS);
  }

  /**
   * Paints a rectangle of plain pixels that lies inside of the screen.
   * @returns the bounds of the pixels that differ now, `undefined` when none does
   */
  paint({ x, y, w, h, data }: Rect): Area | undefined {
    const bytes = w * CHANNELS;
    let [left, right, top, bottom] = [bytes, 0, h, 0];
    for (let row = 0; row < h; row++) {
      const from = row * bytes;
      const to = ((y + row) * this.size.width + x) * CHANNELS;
      if (data.compare(this.data, to, to + bytes, from, from + bytes) === 0) continue;
      let first = 0;
      while (first < left && data[from + first] === this.data[to + first]) first++;
      let last = bytes;
      while (last > right && data[from + last - 1] === this.data[to + last - 1]) last--;
      left = Math.min(left, first);
      right = Math.max(right, last);
      top = Math.min(top, row);
      bottom = row + 1;
      data.copy(this.data, to, from, from + bytes);
    }
    if (bottom === 0) return undefined;
    const [begin, end] = [Math.floor(left / CHANNELS), Math.ceil(right / CHANNELS)];
    return { x: x + begin, y: y + top, w: end - begin, h: bottom - top };
  }

  /** Does an area lie inside of the screen? */
  contains({ x, y, w, h }: Area): boolean {
    return x >= 0 && y >= 0 && x + w <= this.size.width && y + h <= this.size.height;
  }

  /** Copies an area. @throws ProtocolError when it lies outside of the screen, which may have become smaller */
  copy(area: Area): Buffer {
    if (!this.contains(area)) throw new ProtocolError('a copy from outside of the screen');
    const { x, y, w, h } = area;
    const bytes = w * CHANNELS;
    const copy = Buffer.allocUnsafe(h * bytes);
    for (let row = 0; row < h; row++) {
      const from = ((y + row) * this.size.width + x) * CHANNELS;
      this.data.copy(copy, row * bytes, from, from + bytes);
    }
    return copy;
  }
}

/** Returns the smallest area that contains both. */
export function union(a: Area | undefined, b: Area): Area {
  if (!a) return b;
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return { x, y, w: Math.max(a.x + a.w, b.x + b.w) - x, h: Math.max(a.y + a.h, b.y + b.h) - y };
}
