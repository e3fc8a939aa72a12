import { ApiError } from '@warmwind/shared/contract/errors';
import { isTerminal, Job, jobFromRecord, TERMINAL_JOB_STATES } from '@warmwind/shared/contract/jobs';
import { roomKeys } from '@warmwind/shared/engine/keys';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type Known, readRecord } from './records.ts';

/** A job as its owner sees it; `undefined` when nobody knows it any more. Rejects when who may know is away. */
export const readJob = async (known: Known, owner: string, id: string): Promise<Job | undefined> =>
  jobFromRecord(await readRecord(known, 'job', owner, id));

/** Is the end of `run` the end of the job: no later run is known, and this one has ended. */
export async function isLatestEnd(known: Known, owner: string, id: string, run: number): Promise<boolean> {
  const job = await readJob(known, owner, id);
  return !job || (job.run <= run && isTerminal(job.state));
}

/** A job that has ended, and whether the event of its latest run's end is in its room's log. */
export type FinishedJob = { job: Job; published: boolean };

/**
 * The job if its latest run has ended. The producer of the end's event leaves a token with the log.
 *
 * @throws ApiError `unavailable` when this can't be looked up now
 */
export async function publishedEnd(
  known: Known,
  realtime: Redis,
  owner: string,
  id: string,
): Promise<FinishedJob | undefined> {
  try {
    const job = await readJob(known, owner, id);
    if (!job || !isTerminal(job.state)) return undefined;
    const token = `once:end:${job.run}`;
    return { job, published: (await realtime.hexists(roomKeys.meta(owner, `job:${id}`), token)) === 1 };
  } catch {
    throw new ApiError('unavailable', 'The job cannot be looked up now: ask again in a moment.', {
      retryAfterMs: 1000,
    });
  }
}

/** Of the snapshot of a job, of whatever kind, that has ended. */
export const EndSnapshot = Job.pick({ finishedAt: true, createdAt: true }).extend({
  state: z.enum(TERMINAL_JOB_STATES),
});

/**
 * The id in a stream of the snapshot by which a job that has ended is reported after events were lost. No log holds it, and
 * it names this end alone: a client that hands it in has received the end.
 */
export const endPosition = ({ finishedAt, createdAt }: Pick<Job, 'finishedAt' | 'createdAt'>): string =>
  `${Date.parse(finishedAt ?? createdAt)}-${Number.MAX_SAFE_INTEGER}`;
