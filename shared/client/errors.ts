import type { Job } from '../contract/jobs.ts';

/**
 * The base class of all errors of the clients. A call that its caller aborts rejects with the reason of the
 * signal instead.
 *
 * @example
 * try {
 *   await desktop.click(40, 60);
 * } catch (error) {
 *   if (error instanceof WarmwindError && error.code === 'control_held') await desktop.wait(5000);
 *   else throw error;
 * }
 */
export abstract class WarmwindError extends Error {
  /** The stable code of the failure. A code that this version does not know is kept as it is. */
  abstract readonly code: string;
}

/** A job ended without a result: it failed, was cancelled or timed out. */
export class JobFailedError extends WarmwindError {
  override name = 'JobFailedError';
  /** The code of the job's error; its state when it has none. */
  readonly code: string;
  /** The job in its final state. */
  readonly job: Job;

  constructor(job: Job) {
    super(job.error?.message ?? `The job is ${job.state.replace('_', ' ')}. Submit a new one.`);
    this.code = job.error?.code ?? job.state;
    this.job = job;
  }
}
