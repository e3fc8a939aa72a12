import type { Job, Queue } from 'bullmq';
import { promote } from './enqueue.ts';

/** The first delay of a parked job, ms. It doubles each time, up to the longest. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;

/**
 * Jobs that were delayed because their users hold their share of slots. Each is delivered again after its
 * delay; a free slot promotes the next one at once.
 */
export class ParkedJobs {
  readonly #queue: Queue;
  readonly #jobs = new Map<string, Set<string>>();

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /**
   * The delay of a job when no slot becomes free, ms. It grows each time, so that many parked jobs cost
   * little.
   */
  static delayMs({ attemptsStarted, attemptsMade }: Job): number {
    const before = Math.max(0, attemptsStarted - attemptsMade - 1);
    return Math.min(FIRST_WAIT_MS * 2 ** before, LONGEST_WAIT_MS) * (0.75 + Math.random() / 2);
  }

  add(user: string, jobId: string): void {
    const jobs = this.#jobs.get(user) ?? new Set();
    jobs.add(jobId);
    this.#jobs.set(user, jobs);
  }

  remove(user: string, jobId: string): void {
    const jobs = this.#jobs.get(user);
    jobs?.delete(jobId);
    if (jobs?.size === 0) this.#jobs.delete(user);
  }

  /** Promotes the oldest parked job of the next user whom `admits` admits, users in turn. Never rejects. */
  async promote(admits: (user: string) => boolean): Promise<void> {
    for (;;) {
      const user = this.#jobs.keys().find(admits);
      if (user === undefined) return;
      const jobs = this.#jobs.get(user) ?? new Set();
      const [jobId = ''] = jobs;
      this.remove(user, jobId);
      // Its user moves behind the others.
      if (this.#jobs.delete(user)) this.#jobs.set(user, jobs);
      if (await promote(this.#queue, jobId)) return;
    }
  }
}
