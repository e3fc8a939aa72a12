import { isTerminal } from '../contract/jobs.ts';
import type { JobKind } from '../contract/registry.ts';
import { JobFailedError } from './errors.ts';
import type { EdgeClient } from './http.ts';
import {
  type CommandInput,
  type JobOf,
  newIdempotencyKey,
  type Submission,
  type SubmitOptions,
} from './submission.ts';

/** Options of a method that submits a job and waits for its end. */
export type JobOptions = Omit<SubmitOptions, 'waitMs'>;

/** How long a submission itself waits for the end of its job, ms. */
const WAIT_MS = 10_000;

/**
 * Submits a command. An abort while the request is on its way is undone: the submission is sent again under its key,
 * which names the same job.
 *
 * @param undo reverses an accepted submission whose caller has aborted; its failure is ignored
 * @throws RequestError when the edge refuses
 * @throws the reason of the signal as soon as it aborts
 */
export async function submit<K extends JobKind>(
  edge: EdgeClient,
  kind: K,
  input: CommandInput<K>,
  { idempotencyKey = newIdempotencyKey(), ...options }: SubmitOptions,
  undo: (accepted: Submission<K>) => Promise<unknown>,
): Promise<Submission<K>> {
  options.signal?.throwIfAborted();
  try {
    return await edge.command(kind, input, { idempotencyKey, ...options });
  } catch (error) {
    if (options.signal?.aborted)
      edge
        .command(kind, input, { idempotencyKey })
        .then(undo)
        .catch(() => undefined);
    throw error;
  }
}

/**
 * Submits a command, waits for the end of its job and returns the job. An abort cancels the job.
 *
 * @throws JobFailedError when the job fails, is cancelled or times out
 * @throws RequestError when the edge refuses or stays unavailable
 * @throws the reason of the signal as soon as it aborts
 */
export async function runJob<K extends JobKind>(
  edge: EdgeClient,
  kind: K,
  input: CommandInput<K>,
  options: JobOptions = {},
): Promise<JobOf<K>> {
  const cancel = ({ jobId }: { jobId: string }) => edge.cancelJob(jobId);
  return (await submitAndWait(edge, kind, input, options, cancel)).job;
}

/**
 * Submits a command and waits for the end of its job.
 *
 * @param undo reverses an accepted submission whose caller has aborted; its failure is ignored
 * @returns the submission, with the completed job
 * @throws as {@link runJob}
 */
export async function submitAndWait<K extends JobKind>(
  edge: EdgeClient,
  kind: K,
  input: CommandInput<K>,
  options: JobOptions,
  undo: (accepted: Submission<K>) => Promise<unknown>,
): Promise<Submission<K> & { job: JobOf<K> }> {
  const accepted = await submit(edge, kind, input, { ...options, waitMs: WAIT_MS }, undo);
  if (accepted.job) return { ...accepted, job: completed(accepted.job) };
  try {
    return { ...accepted, job: await endOf<K>(edge, accepted.jobId, options.signal) };
  } catch (error) {
    if (options.signal?.aborted) undo(accepted).catch(() => undefined);
    throw error;
  }
}

/**
 * Waits for a job to end.
 *
 * @returns the completed job
 * @throws JobFailedError when the job fails, is cancelled or times out
 * @throws RequestError when the edge stays unavailable
 * @throws the reason of the signal as soon as it aborts
 */
export async function endOf<K extends JobKind>(
  edge: EdgeClient,
  jobId: string,
  signal?: AbortSignal,
): Promise<JobOf<K>> {
  for (;;) {
    // They end with the run. A retry may have begun a new one, whose events follow.
    for await (const _ of edge.jobEvents(jobId, signal ? { signal } : {}));
    const job = await edge.getJob(jobId, { signal });
    if (isTerminal(job.state)) return completed<K>(job as JobOf<K>);
  }
}

/** @throws JobFailedError unless the ended job is completed */
export function completed<K extends JobKind>(job: JobOf<K>): JobOf<K> {
  if (job.state !== 'completed') throw new JobFailedError(job);
  return job;
}
