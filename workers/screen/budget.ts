/** Fills steadily up to a bound; may be overdrawn, and is then waited for. */
export class Budget {
  readonly #perMs: number;
  readonly #most: number;
  #level: number;
  #at = performance.now();

  /**
   * @param perMs what it gains in a millisecond
   * @param most the bound, which it has at first
   */
  constructor(perMs: number, most: number) {
    this.#perMs = perMs;
    this.#most = most;
    this.#level = most;
  }

  /** @returns how long it stays overdrawn, ms */
  take(amount: number): number {
    const now = performance.now();
    this.#level = Math.min(this.#most, this.#level + (now - this.#at) * this.#perMs) - amount;
    this.#at = now;
    return Math.max(0, -this.#level / this.#perMs);
  }
}

/** What was used of late: an amount counts half after each half-life. */
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
