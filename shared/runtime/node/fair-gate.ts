import { ApiError } from '../../contract/errors.ts';

type Waiting = { go: () => void };

/** How many tasks run at once, how many of them for one subject, and how many of one subject wait. */
export type GateBounds = { atOnce: number; perSubject: number; waiting: number };

/**
 * Runs tasks within bounds. Subjects that wait take turns, so that one with many tasks delays only its own.
 */
export class FairGate {
  readonly #bounds: GateBounds;
  #running = 0;
  readonly #runningOf = new Map<string, number>();
  /** In the order of their turns. */
  readonly #queues = new Map<string, Waiting[]>();

  constructor(bounds: GateBounds) {
    this.#bounds = bounds;
  }

  /** @throws ApiError `rate_limited` when too many tasks of the subject wait already */
  async run<T>(subject: string, task: () => Promise<T>): Promise<T> {
    await this.#enter(subject);
    try {
      return await task();
    } finally {
      this.#leave(subject);
    }
  }

  #enter(subject: string): Promise<void> | undefined {
    const queue = this.#queues.get(subject);
    if (!queue && this.#running < this.#bounds.atOnce && this.#mayRun(subject)) {
      this.#begin(subject);
      return undefined;
    }
    if ((queue?.length ?? 0) >= this.#bounds.waiting) {
      throw new ApiError('rate_limited', 'Too many of your requests wait here: ask again in a second.', {
        retryAfterMs: 1000,
      });
    }
    return new Promise((go) => {
      if (queue) queue.push({ go });
      else this.#queues.set(subject, [{ go }]);
    });
  }

  #leave(subject: string): void {
    this.#running -= 1;
    const left = (this.#runningOf.get(subject) ?? 1) - 1;
    if (left > 0) this.#runningOf.set(subject, left);
    else this.#runningOf.delete(subject);
    for (const [next, queue] of this.#queues) {
      if (this.#running >= this.#bounds.atOnce) return;
      if (!this.#mayRun(next)) continue;
      const waiting = queue.shift();
      this.#queues.delete(next);
      if (queue.length > 0) this.#queues.set(next, queue);
      this.#begin(next);
      waiting?.go();
      return;
    }
  }

  #mayRun(subject: string): boolean {
    return (this.#runningOf.get(subject) ?? 0) < this.#bounds.perSubject;
  }

  #begin(subject: string): void {
    this.#running += 1;
    this.#runningOf.set(subject, (this.#runningOf.get(subject) ?? 0) + 1);
  }
}
