/** Delays one piece of work; at most one piece waits. */
export class Throttle {
  #timer: NodeJS.Timeout | undefined;
  #work: () => void = () => undefined;
  #doneAt = Number.NEGATIVE_INFINITY;

  /** Runs `work` in `ms`. It replaces work that waits already, and keeps its time. */
  run(ms: number, work: () => void): void {
    this.#work = work;
    this.#timer ??= setTimeout(() => this.#do(), ms);
  }

  /** Runs `work` as soon as `ms` have passed since the last run: perhaps now. */
  soonest(ms: number, work: () => void): void {
    const waitMs = this.#doneAt + ms - performance.now();
    if (waitMs >= 1) this.run(waitMs, work);
    else {
      this.#work = work;
      this.#do();
    }
  }

  /** Runs the waiting work now. */
  hurry(): void {
    if (this.#timer) this.#do();
  }

  /** Starts the interval: the work was just done by other means. */
  done(): void {
    this.clear();
    this.#doneAt = performance.now();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #do(): void {
    this.done();
    this.#work();
  }
}
