import { ApiError } from '@warmwind/shared/contract/errors';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Context } from 'hono';
import { cancelJob } from '../cancellation/cancel-job.ts';
import type { AppEnv } from '../env.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import type { Services } from '../services.ts';
import { noAnswer } from './errors.ts';

/** How long an answer's status is left open, ms: an error until then has its own. */
const STATUS_WITHIN_MS = 5000;
/**
 * Between two signs of life of an open answer, ms. They keep proxies from closing it, and they are how a client that has
 * closed its connection in good order is found out: this runtime learns of it only by writing.
 */
export const BEAT_MS = 3000;

/** Who waits for an answer, until they have it or go away. */
export class Waiting {
  readonly #over = new AbortController();
  readonly #cancel: () => void;

  /** Cancels the job when its client goes away before `end`. */
  constructor(c: Context<AppEnv>, services: Services, jobId: string) {
    this.#cancel = () => {
      const cancelled = cancelJob(c, services, jobId).catch((error: unknown) => {
        // It has ended meanwhile.
        if (error instanceof ApiError && error.code === 'conflict') return;
        log.warn('a job that nobody waits for was not cancelled', { jobId, ...failureOf(error) });
      });
      c.executionCtx.waitUntil(cancelled);
    };
    c.req.raw.signal.addEventListener('abort', () => this.leave());
  }

  /** Aborted when nothing is waited for any more; its reason is why. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** The answer is not wanted any more: its job is cancelled. */
  leave(reason?: Error): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    this.#cancel();
  }

  /** The answer is there, or there will be none. */
  end(): void {
    this.#over.abort();
  }

  /** What `work` comes to, or `undefined` when it takes its time. Throws what an answer's status follows from. */
  async soon<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await withTimeout(work, STATUS_WITHIN_MS, () => undefined);
    } catch (error) {
      this.end();
      throw noAnswer(error);
    }
  }
}
