/** Most pieces of work that wait; more are refused. */
const MAX_WAITING = 4096;

type Work = () => boolean | Promise<unknown>;

/** Runs work in order, each piece after the pause of the piece before, or after its end. */
export class Outbox {
  readonly #waiting: { work: Work; restMs: number }[] = [];
  #freeAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Runs `work` now, or queues it.
   * @param restMs pause after it, ms
   * @returns the result of `work`, true for a promise; true when it was queued, false when the queue is full
   */
  run(work: Work, restMs: number): boolean {
    if (this.#waiting.length === 0 && performance.now() >= this.#freeAt) return this.#do(work, restMs);
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push({ work, restMs });
    this.#schedule();
    return true;
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #do(work: Work, restMs: number): boolean {
    const done = work();
    if (typeof done === 'boolean') {
      if (restMs > 0) this.#freeAt = performance.now() + restMs;
      return done;
    }
    this.#freeAt = Number.POSITIVE_INFINITY;
    const free = () => {
      this.#freeAt = performance.now() + restMs;
      this.#drain();
    };
    done.then(free, free);
    return true;
  }

  #schedule(): void {
    if (this.#freeAt === Number.POSITIVE_INFINITY) return;
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.#drain();
      },
      Math.max(1, this.#freeAt - performance.now()),
    );
  }

  #drain(): void {
    while (performance.now() >= this.#freeAt) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#do(next.work, next.restMs);
    }
    if (this.#waiting.length > 0) this.#schedule();
  }
}
