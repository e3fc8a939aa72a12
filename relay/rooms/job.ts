import { ApiError } from '@warmwind/shared/contract/errors';
import { isTerminal, Job, jobFromRecord, TERMINAL_JOB_STATES } from '@warmwind/shared/contract/jobs';
import { roomKeys } from '@warmwind/shared/engine/keys';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type RecordSources, readRecord } from './records.ts';

/**
 * Reads a job as its owner sees it.
 * @returns `undefined` when neither Redis nor the ledger has its record
 * @throws when the stores do not answer
 */
export const readJob = async (
  recordSources: RecordSources,
  owner: string,
  id: string,
): Promise<Job | undefined> => jobFromRecord(await readRecord(recordSources, 'job', owner, id));

/** Checks whether the end of `run` is the end of the job: it has ended, and no later run is known. */
export async function isLatestEnd(
  recordSources: RecordSources,
  owner: string,
  id: string,
  run: number,
): Promise<boolean> {
  const job = await readJob(recordSources, owner, id);
  return !job || (job.run <= run && isTerminal(job.state));
}

/** A job that has ended. `published`: the event of its latest run's end is in its room's log. */
export type FinishedJob = { job: Job; published: boolean };

/**
 * Reads the job if its latest run has ended. The producer of the end's event leaves a token with the log.
 *
 * @throws ApiError `unavailable` when the stores do not answer
 */
export async function publishedEnd(
  recordSources: RecordSources,
  realtime: Redis,
  owner: string,
  id: string,
): Promise<FinishedJob | undefined> {
  try {
    const job = await readJob(recordSources, owner, id);
    if (!job || !isTerminal(job.state)) return undefined;
    const token = `once:end:${job.run}`;
    return { job, published: (await realtime.hexists(roomKeys.meta(owner, `job:${id}`), token)) === 1 };
  } catch {
    throw new ApiError('unavailable', 'The job cannot be looked up now: ask again in a moment.', {
      retryAfterMs: 1000,
    });
  }
}

/** The fields of an ended job's snapshot that are the same for every kind. */
export const EndSnapshot = Job.pick({ finishedAt: true, createdAt: true }).extend({
  state: z.enum(TERMINAL_JOB_STATES),
});

/**
 * Makes the event id under which a stream sends the snapshot of an ended job after events were lost. No log
 * holds this id, and it names this end alone: a client that resumes after it has received the end.
 */
export const endPosition = ({ finishedAt, createdAt }: Pick<Job, 'finishedAt' | 'createdAt'>): string =>
  `${Date.parse(finishedAt ?? createdAt)}-${Number.MAX_SAFE_INTEGER}`;
