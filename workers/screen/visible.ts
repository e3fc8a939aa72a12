import { MAX_FRAME_BYTES } from '@warmwind/shared/contract/screen';
import { ProtocolError } from './rfb/feed.ts';
import { type Area, ENCODING, type Size } from './rfb/messages.ts';
import { RECT_HEAD_BYTES, type Rect } from './rfb/update.ts';

const TILE = 16;
/** Above one of these limits, the complete screen is cheaper than the collected rectangles. */
const REFRESH_ABOVE = { bytes: 768 * 1024, rects: 3000, links: 100_000 };
/** Above one of these limits, the server has failed to answer the request for the complete screen. */
const OVERFLOW_ABOVE = { bytes: MAX_FRAME_BYTES - 2 ** 16, rects: 20_000, links: 2_000_000 };

/**
 * One rectangle. `uses`: the tiles that show it and the copies that need it; `sources`: the rectangles that
 * it copied; `foundBy`: the number of the copy that found it last.
 */
type Entry = { rect: Rect; uses: number; sources: Entry[]; foundBy: number };

/**
 * The rectangles that are still visible, at least in part, in order. Drawn in that order they produce the
 * present screen. No pixel is decoded. The sources of a copy (CopyRect) are kept as long as the copy.
 */
export class VisibleRects {
  #size: Size = { width: 0, height: 0 };
  #columns = 0;
  #tiles: Entry[][] = [];
  readonly #entries = new Set<Entry>();
  #bytes = 0;
  #links = 0;
  #copies = 0;
  /** The totals after the last complete screen. */
  #base = { bytes: 0, rects: 0 };

  get bytes(): number {
    return this.#bytes;
  }

  /** Removes all rectangles, and sets the size of the screen. */
  clear(size: Size): void {
    this.#size = size;
    this.#columns = Math.ceil(size.width / TILE);
    this.#tiles = Array.from({ length: this.#columns * Math.ceil(size.height / TILE) }, () => []);
    this.#entries.clear();
    this.#bytes = 0;
    this.#links = 0;
  }

  /** True when the complete screen is to be requested. */
  get needsRefresh(): boolean {
    return (
      this.#bytes > Math.max(REFRESH_ABOVE.bytes, 2 * this.#base.bytes) ||
      this.#entries.size > Math.max(REFRESH_ABOVE.rects, 2 * this.#base.rects) ||
      this.#links > REFRESH_ABOVE.links
    );
  }

  /** Records the totals of the complete screen, which has arrived. */
  markComplete(): void {
    this.#base = { bytes: this.#bytes, rects: this.#entries.size };
  }

  /** Returns the rectangles to draw, in order. */
  rects(): Rect[] {
    return Array.from(this.#entries, ({ rect }) => rect);
  }

  /** Adds a rectangle on top. @throws ProtocolError when one frame can no longer hold the screen */
  add(rect: Rect): void {
    const entry: Entry = { rect, uses: 1, sources: [], foundBy: 0 };
    if (rect.encoding === ENCODING.copyRect) this.#pin(entry);
    this.#entries.add(entry);
    this.#bytes += RECT_HEAD_BYTES + rect.data.length;
    this.#eachTile(rect, (tile) => this.#draw(tile, entry));
    this.#release(entry);
    if (
      this.#bytes > OVERFLOW_ABOVE.bytes ||
      this.#entries.size > OVERFLOW_ABOVE.rects ||
      this.#links > OVERFLOW_ABOVE.links
    ) {
      throw new ProtocolError('more on the screen than one frame can carry');
    }
  }

  /** Visits the indices of the tiles that an area touches. */
  #eachTile({ x, y, w, h }: Area, visit: (tile: number) => void): void {
    const right = Math.ceil((x + w) / TILE);
    const bottom = Math.ceil((y + h) / TILE);
    for (let row = Math.floor(y / TILE); row < bottom; row++) {
      for (let column = Math.floor(x / TILE); column < right; column++) visit(row * this.#columns + column);
    }
  }

  /** Keeps the rectangles of a copy's source: to draw the copy they are needed as they were. */
  #pin(entry: Entry): void {
    const { w, h, data } = entry.rect;
    const source = { x: data.readUInt16BE(0), y: data.readUInt16BE(2), w, h };
    const copy = ++this.#copies;
    this.#eachTile(source, (tile) => {
      for (const seen of this.#tiles[tile] ?? []) {
        if (seen.foundBy === copy || !overlap(seen.rect, source)) continue;
        seen.foundBy = copy;
        seen.uses++;
        entry.sources.push(seen);
      }
    });
    this.#links += entry.sources.length;
  }

  /** Adds a rectangle to a tile, and removes the rectangles that it hides there. */
  #draw(index: number, drawn: Entry): void {
    const tile = this.#tiles[index];
    if (!tile) return;
    const { rect } = drawn;
    const left = (index % this.#columns) * TILE;
    const top = Math.floor(index / this.#columns) * TILE;
    const right = Math.min(left + TILE, this.#size.width);
    const bottom = Math.min(top + TILE, this.#size.height);
    let kept = 0;
    for (const entry of tile) {
      const seen = entry.rect;
      const hidden =
        rect.x <= Math.max(seen.x, left) &&
        rect.y <= Math.max(seen.y, top) &&
        rect.x + rect.w >= Math.min(seen.x + seen.w, right) &&
        rect.y + rect.h >= Math.min(seen.y + seen.h, bottom);
      if (hidden) this.#release(entry);
      else tile[kept++] = entry;
    }
    tile[kept++] = drawn;
    drawn.uses++;
    // Truncating a list gives up its memory, and most lists keep their length: truncate only one that shrank.
    if (kept < tile.length) tile.length = kept;
  }

  /** Drops one use. A rectangle without uses is removed, and so are the sources that only it needed. */
  #release(first: Entry): void {
    if (--first.uses > 0) return;
    const left = [first];
    for (let entry = left.pop(); entry; entry = left.pop()) {
      this.#entries.delete(entry);
      this.#bytes -= RECT_HEAD_BYTES + entry.rect.data.length;
      this.#links -= entry.sources.length;
      for (const source of entry.sources) if (--source.uses === 0) left.push(source);
    }
  }
}

const overlap = (a: Area, b: Area): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
