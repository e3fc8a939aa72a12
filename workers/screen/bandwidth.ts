import { Budget } from './budget.ts';

/** Bandwidth of one desktop: the sustained rate, and the largest burst. */
const BYTES_PER_MS = 1500;
const BURST_BYTES = 2 ** 20;
/** Added to the size of each update, so that a flood of empty updates uses up the budget too. */
const UPDATE_BYTES = 1024;

/** Time in JPEG before lossless is tried again, ms. It doubles when lossless was too much within `soon`. */
const LOSSY_MS = { least: 3000, most: 30_000, soon: 10_000 };

/**
 * Controls the update rate and the quality of one desktop. RFB is pull: changes between two requests arrive
 * as one update. The quality is lossless while updates fit the budget, JPEG while they do not, and lossless
 * again after a while.
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

  /** Least time in JPEG before lossless is tried again, ms. */
  get lossyMs(): number {
    return this.#lossyMs;
  }

  /** Accounts for an update that was sent. @returns the wait before the next request, ms */
  sent(bytes: number): number {
    return this.#bytes.take(bytes + UPDATE_BYTES);
  }

  /** Chooses the quality again. @returns true when it changed: to JPEG, or back to lossless */
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
