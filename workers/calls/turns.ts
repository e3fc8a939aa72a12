/** One task after the other; a bounded number waits. */
export class Turns {
  readonly #maxWaiting: number;
  #tasks = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** One task runs, and as many wait as may. */
  get isFull(): boolean {
    return this.#tasks > this.#maxWaiting;
  }

  /** Runs `task` after all that came before it. */
  async run(task: () => Promise<void>): Promise<void> {
    this.#tasks += 1;
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => undefined);
    try {
      await turn;
    } finally {
      this.#tasks -= 1;
    }
  }
}
