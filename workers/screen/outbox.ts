/** More is refused. */
const MAX_WAITING = 4096;

type Work = () => boolean;

/** Does one thing after the other, each as soon as the one before has had its time. */
export class Outbox {
  readonly #waiting: { work: Work; restMs: number }[] = [];
  #freeAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Does `work`: now, or after what waits.
   * @param restMs for how long nothing is done after it
   * @returns what `work` returns, true while it waits, false when too much waits
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
    if (restMs > 0) this.#freeAt = performance.now() + restMs;
    return work();
  }

  #schedule(): void {
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
