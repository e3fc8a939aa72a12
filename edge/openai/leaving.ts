import { ApiError } from '@warmwind/shared/errors';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import { cancel } from '../jobs/cancel.ts';
import type { Services } from '../services.ts';

/** Who waits for an answer, until they have it or go away. */
export class Waiting {
  readonly #over = new AbortController();
  readonly #cancel: () => void;

  /** Cancels the job when its client goes away before `end`. */
  constructor(c: Context<AppEnv>, services: Services, jobId: string) {
    this.#cancel = () => {
      const cancelled = cancel(c, services, jobId).catch((error: unknown) => {
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
}
