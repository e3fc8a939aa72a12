/** A token bucket: `perSecond` on average, `burst` at once. */
export class Bucket {
  /** Time to refill one token, and all of them. */
  readonly #gapMs: number;
  readonly #burstMs: number;
  /** The time at which it is full, on the clock of `performance.now()`. */
  #fullAt = 0;

  constructor(perSecond: number, burst: number) {
    this.#gapMs = 1000 / perSecond;
    this.#burstMs = burst * this.#gapMs;
  }

  /** Takes `count` tokens. @returns false when it holds fewer */
  take(count = 1): boolean {
    if (this.waitMs(count) > 0) return false;
    this.#fullAt = Math.max(this.#fullAt, performance.now()) + count * this.#gapMs;
    return true;
  }

  /** @returns the time until it holds `count` tokens, ms */
  waitMs(count = 1): number {
    const now = performance.now();
    return Math.max(0, Math.max(this.#fullAt, now) + count * this.#gapMs - now - this.#burstMs);
  }
}
