import type { Job, Queue } from 'bullmq';
import { promote } from './enqueue.ts';

/** A parked job is looked at again after this, ms, and after twice as long each time, up to the longest. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;

/**
 * Jobs that were delayed because their users have their share of slots. They come back when their delay is over; a slot
 * that becomes free brings the next one back at once.
 */
export class ParkedJobs {
  readonly #queue: Queue;
  readonly #jobs = new Map<string, Set<string>>();

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /** How long a job waits when no slot becomes free meanwhile, ms: longer each time, so that many cost little. */
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

  /** Brings back the longest parked job of the next user whom `admits` admits, users in turn. Never rejects. */
  async promote(admits: (user: string) => boolean): Promise<void> {
    for (;;) {
      const user = this.#jobs.keys().find(admits);
      if (user === undefined) return;
      const jobs = this.#jobs.get(user) ?? new Set();
      const [jobId = ''] = jobs;
      this.remove(user, jobId);
      // Its user goes behind the others.
      if (this.#jobs.delete(user)) this.#jobs.set(user, jobs);
      if (await promote(this.#queue, jobId)) return;
    }
  }
}
