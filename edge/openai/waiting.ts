import { ApiError } from '@warmwind/shared/contract/errors';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Context } from 'hono';
import { cancelJob } from '../cancellation/cancel-job.ts';
import type { AppEnv } from '../env.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import type { Services } from '../services.ts';
import { noAnswer } from './errors.ts';

/** How long the status of an answer stays undecided, ms: an error until then has its own status. */
const STATUS_WITHIN_MS = 5000;
/**
 * The interval of the heartbeats of an open answer, ms. They keep proxies from closing it, and they detect a
 * client that has closed its connection in good order: this runtime notices it only when it writes.
 */
export const BEAT_MS = 3000;

/** A client that waits for an answer, until it has the answer or disconnects. */
export class Waiting {
  readonly #over = new AbortController();
  readonly #cancel: () => void;

  /** Cancels the job when the client disconnects before `end`. */
  constructor(c: Context<AppEnv>, services: Services, jobId: string) {
    this.#cancel = () => {
      const cancelled = cancelJob(c, services, jobId).catch((error: unknown) => {
        // The job has ended meanwhile.
        if (error instanceof ApiError && error.code === 'conflict') return;
        log.warn('an abandoned job was not cancelled', { jobId, ...failureOf(error) });
      });
      c.executionCtx.waitUntil(cancelled);
    };
    c.req.raw.signal.addEventListener('abort', () => this.leave());
  }

  /** Aborted when the wait is over; its reason is why. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Ends the wait and cancels the job, because the answer is no longer wanted. */
  leave(reason?: Error): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    this.#cancel();
  }

  /** Ends the wait: there is an answer, or there will be none. */
  end(): void {
    this.#over.abort();
  }

  /**
   * Awaits `work` for `STATUS_WITHIN_MS`.
   * @returns its result, or `undefined` when it takes longer
   * @throws NoAnswerError the failure of `work`, from which the answer's status follows
   */
  async soon<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await withTimeout(work, STATUS_WITHIN_MS, () => undefined);
    } catch (error) {
      this.end();
      throw noAnswer(error);
    }
  }
}
