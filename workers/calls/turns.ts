/** Runs tasks one after the other. */
export class SerialTasks {
  readonly #maxWaiting: number;
  #tasks = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** True when one task runs and `maxWaiting` tasks wait. */
  get isFull(): boolean {
    return this.#tasks > this.#maxWaiting;
  }

  /** Runs `task` after all tasks before it. */
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
