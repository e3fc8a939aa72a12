import type { FrameHead, FrameKind } from '@warmwind/shared/screen';
import { packRects, packText } from './frame.ts';
import type { ScreenMetrics } from './metrics.ts';
import type { Size } from './rfb/messages.ts';
import type { Rect } from './rfb/update.ts';

/** A delta of more bytes goes out as several. */
const DELTA_BYTES = 512 * 1024;

let lastEpoch = 0;
/** Unique, and rising for as long as the clock does. */
export const nextEpoch = (): number => {
  lastEpoch = Math.max(lastEpoch + 1, Date.now());
  return lastEpoch;
};

/** What is told of one desktop's screen to all who watch it. Each call rejects when that fails. */
export class Publisher {
  readonly #publish: (frame: Buffer) => Promise<unknown>;
  readonly #metrics: ScreenMetrics;
  #size: Size = { width: 0, height: 0 };
  #epoch = 0;
  #seq = 0;
  #keys = 0;

  constructor(publish: (frame: Buffer) => Promise<unknown>, metrics: ScreenMetrics) {
    this.#publish = publish;
    this.#metrics = metrics;
  }

  /** A key that Redis has not taken yet. */
  get keyOnItsWay(): boolean {
    return this.#keys > 0;
  }

  /** Begins an epoch, of a screen of this size; a key is to follow. */
  begin(size: Size): void {
    this.#size = size;
    this.#epoch = nextEpoch();
    this.#seq = 0;
  }

  /** In the order of the calls: all is on its way when this returns. */
  deltas(rects: Rect[]): Promise<unknown>[] {
    const sent: Promise<unknown>[] = [];
    let from = 0;
    let bytes = 0;
    for (const [index, rect] of rects.entries()) {
      bytes += rect.data.length;
      if (bytes < DELTA_BYTES && index < rects.length - 1) continue;
      this.#seq++;
      sent.push(this.#out('delta', packRects(this.#head('delta'), rects.slice(from, index + 1))));
      from = index + 1;
      bytes = 0;
    }
    return sent;
  }

  async key(rects: Rect[]): Promise<void> {
    this.#metrics.keys.inc();
    this.#keys++;
    try {
      await this.#out('key', packRects(this.#head('key'), rects));
    } finally {
      this.#keys--;
    }
  }

  /** The desktop's clipboard; `undefined`: a text that is longer than is told. */
  async cut(text: string | undefined): Promise<void> {
    const kind = text === undefined ? 'cutTooLong' : 'cut';
    await this.#out(kind, packText(this.#head(kind), text ?? ''));
  }

  #head(kind: FrameKind): FrameHead {
    return { kind, epoch: this.#epoch, seq: this.#seq, ...this.#size };
  }

  #out(kind: FrameKind, frame: Buffer): Promise<unknown> {
    this.#metrics.bytes.inc({ kind }, frame.length);
    return this.#publish(frame);
  }
}
