import { MAX_FRAME_BYTES } from '@warmwind/shared/contract/screen';
import { ProtocolError } from './rfb/feed.ts';
import { type Area, ENCODING, type Size } from './rfb/messages.ts';
import { RECT_HEAD_BYTES, type Rect } from './rfb/update.ts';

const TILE = 16;
/** Above one of these the whole screen anew is less than what has gathered. */
const FRESH = { bytes: 768 * 1024, rects: 3000, links: 100_000 };
/** Above one of these a server does not answer when it is asked for the whole screen. */
const FULL = { bytes: MAX_FRAME_BYTES - 2 ** 16, rects: 20_000, links: 2_000_000 };

/**
 * One rectangle: in how many tiles it is seen and by how many copies it is needed, which rectangles it copied, and the
 * number of the copy that found it last.
 */
type Entry = { rect: Rect; uses: number; sources: Entry[]; found: number };

/**
 * The rectangles of which something is still seen, in order: drawn one after another they give the screen as it is. No
 * pixel is decoded. What a copy was made from stays for as long as the copy does.
 */
export class VisibleRects {
  #size: Size = { width: 0, height: 0 };
  #columns = 0;
  #tiles: Entry[][] = [];
  readonly #entries = new Set<Entry>();
  #bytes = 0;
  #links = 0;
  #copies = 0;
  /** What there was after the screen came as a whole. */
  #base = { bytes: 0, rects: 0 };

  get bytes(): number {
    return this.#bytes;
  }

  /** Forgets all: the screen has this size and nothing on it. */
  clear(size: Size): void {
    this.#size = size;
    this.#columns = Math.ceil(size.width / TILE);
    this.#tiles = Array.from({ length: this.#columns * Math.ceil(size.height / TILE) }, () => []);
    this.#entries.clear();
    this.#bytes = 0;
    this.#links = 0;
  }

  /** It is time to ask for the whole screen. */
  get outgrown(): boolean {
    return (
      this.#bytes > Math.max(FRESH.bytes, 2 * this.#base.bytes) ||
      this.#entries.size > Math.max(FRESH.rects, 2 * this.#base.rects) ||
      this.#links > FRESH.links
    );
  }

  /** The screen has come as a whole. */
  settled(): void {
    this.#base = { bytes: this.#bytes, rects: this.#entries.size };
  }

  /** What has to be drawn, in order. */
  rects(): Rect[] {
    return Array.from(this.#entries, ({ rect }) => rect);
  }

  /** Throws when there is no end to it. */
  add(rect: Rect): void {
    const entry: Entry = { rect, uses: 1, sources: [], found: 0 };
    if (rect.encoding === ENCODING.copyRect) this.#pin(entry);
    this.#entries.add(entry);
    this.#bytes += RECT_HEAD_BYTES + rect.data.length;
    this.#eachTile(rect, (tile) => this.#draw(tile, entry));
    this.#release(entry);
    if (this.#bytes > FULL.bytes || this.#entries.size > FULL.rects || this.#links > FULL.links) {
      throw new ProtocolError('more on the screen than one frame can carry');
    }
  }

  /** Goes through the indices of the tiles that an area touches. */
  #eachTile({ x, y, w, h }: Area, visit: (tile: number) => void): void {
    const right = Math.ceil((x + w) / TILE);
    const bottom = Math.ceil((y + h) / TILE);
    for (let row = Math.floor(y / TILE); row < bottom; row++) {
      for (let column = Math.floor(x / TILE); column < right; column++) visit(row * this.#columns + column);
    }
  }

  /** A copy needs what its source was made of, and that as it was: it holds all of it. */
  #pin(entry: Entry): void {
    const { w, h, data } = entry.rect;
    const source = { x: data.readUInt16BE(0), y: data.readUInt16BE(2), w, h };
    const copy = ++this.#copies;
    this.#eachTile(source, (tile) => {
      for (const seen of this.#tiles[tile] ?? []) {
        if (seen.found === copy || !overlap(seen.rect, source)) continue;
        seen.found = copy;
        seen.uses++;
        entry.sources.push(seen);
      }
    });
    this.#links += entry.sources.length;
  }

  /** Puts a rectangle into a tile, and takes out what is not seen there any more. */
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
    // Only a list that gets shorter is cut: that gives up its memory, and many are of the same length again and again.
    if (kept < tile.length) tile.length = kept;
  }

  /** One use less; what is of no more use goes, and so do the sources that only it needed. */
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
