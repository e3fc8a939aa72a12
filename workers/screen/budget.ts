/** A token bucket that may be overdrawn: callers then wait for its refill. */
export class Budget {
  readonly #perMs: number;
  readonly #most: number;
  #level: number;
  #at = performance.now();

  /**
   * @param perMs the refill per millisecond
   * @param most the capacity, and the initial level
   */
  constructor(perMs: number, most: number) {
    this.#perMs = perMs;
    this.#most = most;
    this.#level = most;
  }

  /** Takes an amount. @returns how long the bucket stays overdrawn, ms */
  take(amount: number): number {
    const now = performance.now();
    this.#level = Math.min(this.#most, this.#level + (now - this.#at) * this.#perMs) - amount;
    this.#at = now;
    return Math.max(0, -this.#level / this.#perMs);
  }
}

/** Recent use, which decays: an amount counts half after each half-life. */
export class RecentUse {
  readonly #halfLifeMs: number;
  #amount = 0;
  #at = performance.now();

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  get amount(): number {
    const now = performance.now();
    this.#amount *= 2 ** ((this.#at - now) / this.#halfLifeMs);
    this.#at = now;
    return this.#amount;
  }

  add(amount: number): void {
    this.#amount = this.amount + amount;
  }
}
