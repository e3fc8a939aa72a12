/** A token bucket: `perSecond` on average, `burst` at once. */
export class Bucket {
  /** In how many ms one token comes, and all of them. */
  readonly #gapMs: number;
  readonly #burstMs: number;
  /** When it is full again, on the clock of `performance.now()`. */
  #fullAt = 0;

  constructor(perSecond: number, burst: number) {
    this.#gapMs = 1000 / perSecond;
    this.#burstMs = burst * this.#gapMs;
  }

  /** Takes so many; false when there are not as many. */
  take(count = 1): boolean {
    if (this.waitMs(count) > 0) return false;
    this.#fullAt = Math.max(this.#fullAt, performance.now()) + count * this.#gapMs;
    return true;
  }

  /** How long it takes until there are so many, ms. */
  waitMs(count = 1): number {
    const now = performance.now();
    return Math.max(0, Math.max(this.#fullAt, now) + count * this.#gapMs - now - this.#burstMs);
  }
}
