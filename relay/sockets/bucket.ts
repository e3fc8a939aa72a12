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

  /** Takes one; false when there is none. */
  take(): boolean {
    const now = performance.now();
    const fullAt = Math.max(this.#fullAt, now) + this.#gapMs;
    if (fullAt - now > this.#burstMs) return false;
    this.#fullAt = fullAt;
    return true;
  }
}
