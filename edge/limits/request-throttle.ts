/** How long a request waits for its turn at most, ms. */
const MAX_WAIT_MS = 1000;
/**
 * The most subjects that are tracked, and the most requests of all subjects that begin to wait within a
 * second.
 */
const MAX_SUBJECTS = 10_000;
const MAX_WAITS = 1000;

export type ThrottleOptions = {
  /** Requests of one subject that pass each second without waiting. */
  perSecond: number;
  /** Requests of one subject that pass at once after a pause. */
  burst: number;
};

/**
 * Spreads the requests of each subject over time, within this isolate: a request beyond the rate waits, for a
 * second at most. A client that repeats its request as soon as it is answered slows only itself.
 */
export class RequestThrottle {
  readonly #intervalMs: number;
  readonly #burst: number;
  /** When the last request of each subject is due, ms; the subjects of the latest requests are last. */
  readonly #dueAt = new Map<string, number>();
  /**
   * A waiting request can end unnoticed, with its connection. So waits are counted as they begin, a second at
   * a time.
   */
  #waits = { second: 0, begun: 0 };

  constructor({ perSecond, burst }: ThrottleOptions) {
    this.#intervalMs = 1000 / perSecond;
    this.#burst = burst;
  }

  /**
   * Waits for the turn of one more request of `subject`.
   * @returns false when too many requests wait already: then this one has not waited
   */
  async wait(subject: string): Promise<boolean> {
    const ms = this.#take(subject, Date.now());
    if (ms <= 0) return true;
    if (!this.#mayWait()) return false;
    await new Promise((resolve) => setTimeout(resolve, ms));
    return true;
  }

  /** @returns how long until this request is due, ms */
  #take(subject: string, now: number): number {
    const earliest = now - (this.#burst - 1) * this.#intervalMs;
    const last = this.#dueAt.get(subject);
    const due = last === undefined ? earliest : Math.max(earliest, last + this.#intervalMs);
    const dueAt = Math.min(due, now + MAX_WAIT_MS);
    this.#dueAt.delete(subject);
    this.#dueAt.set(subject, dueAt);
    const [oldest] = this.#dueAt.keys();
    if (this.#dueAt.size > MAX_SUBJECTS && oldest !== undefined) this.#dueAt.delete(oldest);
    return Math.ceil(dueAt - now);
  }

  #mayWait(): boolean {
    const second = Math.floor(Date.now() / 1000);
    if (this.#waits.second !== second) this.#waits = { second, begun: 0 };
    this.#waits.begun += 1;
    return this.#waits.begun <= MAX_WAITS;
  }
}
