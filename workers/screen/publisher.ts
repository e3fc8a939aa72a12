import type { FrameHead, FrameKind } from '@warmwind/shared/contract/screen';
import { packRects, packText } from './frame.ts';
import type { ScreenMetrics } from './metrics.ts';
import type { Size } from './rfb/messages.ts';
import type { Rect } from './rfb/update.ts';
import type { Turn } from './turns.ts';

/** A larger delta is split into several frames: frames of other screens pass between them. */
const DELTA_BYTES = 128 * 1024;

let lastEpoch = 0;
/** Returns a number that is unique in this process, and rises with the clock. */
export const nextEpoch = (): number => {
  lastEpoch = Math.max(lastEpoch + 1, Date.now());
  return lastEpoch;
};

/** Publishes the frames of one desktop's screen to its viewers; rejects when the publication fails. */
export class Publisher {
  readonly #publish: (frame: Buffer) => Promise<unknown>;
  readonly #metrics: ScreenMetrics;
  #size: Size = { width: 0, height: 0 };
  #epoch = 0;
  #seq = 0;
  #keyframes = 0;

  constructor(publish: (frame: Buffer) => Promise<unknown>, metrics: ScreenMetrics) {
    this.#publish = publish;
    this.#metrics = metrics;
  }

  /** True while Redis has not accepted a keyframe yet. */
  get keyframePending(): boolean {
    return this.#keyframes > 0;
  }

  /** Begins an epoch, with a screen of this size. A keyframe must follow. */
  begin(size: Size): void {
    this.#size = size;
    this.#epoch = nextEpoch();
    this.#seq = 0;
  }

  /** Publishes the changes of one update. The caller publishes no keyframe before this has resolved. */
  async deltas(rects: Rect[], turn: Turn): Promise<void> {
    let from = 0;
    let bytes = 0;
    for (const [index, rect] of rects.entries()) {
      bytes += rect.data.length;
      if (bytes < DELTA_BYTES && index < rects.length - 1) continue;
      if (from > 0) await turn.take();
      const since = performance.now();
      this.#seq++;
      const sent = this.#publishFrame('delta', packRects(this.#head('delta'), rects.slice(from, index + 1)));
      // The first frame belongs to the turn in which the update was read.
      if (from > 0) turn.spent(performance.now() - since);
      from = index + 1;
      bytes = 0;
      await sent;
    }
  }

  async keyframe(rects: Rect[], turn: Turn): Promise<void> {
    this.#metrics.keyframes.inc();
    this.#keyframes++;
    try {
      const frame = packRects(this.#head('key'), rects);
      turn.sent(frame.length);
      await this.#publishFrame('key', frame);
    } finally {
      this.#keyframes--;
    }
  }

  /** Publishes the desktop's clipboard. @param text `undefined`: it is too long to be published */
  async clipboard(text: string | undefined): Promise<void> {
    const kind = text === undefined ? 'cutTooLong' : 'cut';
    await this.#publishFrame(kind, packText(this.#head(kind), text ?? ''));
  }

  #head(kind: FrameKind): FrameHead {
    return { kind, epoch: this.#epoch, seq: this.#seq, ...this.#size };
  }

  #publishFrame(kind: FrameKind, frame: Buffer): Promise<unknown> {
    this.#metrics.bytes.inc({ kind }, frame.length);
    return this.#publish(frame);
  }
}
