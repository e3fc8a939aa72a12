/** One piece of work that is to be done a little later, at most once at a time. */
export class Throttle {
  #timer: NodeJS.Timeout | undefined;
  #work: () => void = () => undefined;
  #doneAt = Number.NEGATIVE_INFINITY;

  /** Does `work` in `ms`; where some is waiting already, this takes its place and keeps its time. */
  run(ms: number, work: () => void): void {
    this.#work = work;
    this.#timer ??= setTimeout(() => this.#do(), ms);
  }

  /** Does `work` as soon as `ms` have passed since it was done last: perhaps now. */
  soonest(ms: number, work: () => void): void {
    const waitMs = this.#doneAt + ms - performance.now();
    if (waitMs >= 1) this.run(waitMs, work);
    else {
      this.#work = work;
      this.#do();
    }
  }

  /** What waits to be done is done now. */
  hurry(): void {
    if (this.#timer) this.#do();
  }

  /** It was done by other means just now. */
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
