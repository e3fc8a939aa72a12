import { Budget } from './budget.ts';

/** What one desktop may put on the wire, on average and at once. */
const BYTES_PER_MS = 1500;
const BURST_BYTES = 2 ** 20;
/** What the emptiest update counts, so that a flood of them is none. */
const UPDATE_BYTES = 1024;

/** How long JPEG is kept before lossless is tried again, ms: longer each time that it was too much soon. */
const LOSSY_MS = { least: 3000, most: 30_000, soon: 10_000 };

/**
 * How fast and how well a desktop is shown. RFB is pull: what changes while the next update is not asked for comes as
 * one. Lossless while that fits, JPEG when it does not, and lossless again after a while.
 */
export class BandwidthController {
  readonly #bytes = new Budget(BYTES_PER_MS, BURST_BYTES);
  #lossy: boolean;
  #changedAt = performance.now();
  #lossyMs = LOSSY_MS.least;

  constructor(lossy: boolean) {
    this.#lossy = lossy;
  }

  get lossy(): boolean {
    return this.#lossy;
  }

  /** How long JPEG is kept at least, ms. */
  get lossyMs(): number {
    return this.#lossyMs;
  }

  /** An update was sent. → how long to wait before the next is asked for, ms */
  sent(bytes: number): number {
    return this.#bytes.take(bytes + UPDATE_BYTES);
  }

  /** → true when updates are to come otherwise from now on: JPEG, or lossless again */
  reconsider(): boolean {
    const overdrawn = this.#bytes.take(0) > 0;
    const now = performance.now();
    const since = now - this.#changedAt;
    if (overdrawn === this.#lossy || (this.#lossy && since < this.#lossyMs)) return false;
    if (overdrawn) {
      this.#lossyMs = since > LOSSY_MS.soon ? LOSSY_MS.least : Math.min(this.#lossyMs * 2, LOSSY_MS.most);
    }
    this.#lossy = overdrawn;
    this.#changedAt = now;
    return true;
  }
}
