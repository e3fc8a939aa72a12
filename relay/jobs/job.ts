import { ApiError } from '@warmwind/shared/errors';
import { isTerminal, type Job, jobFromRecord } from '@warmwind/shared/jobs';
import { roomKeys } from '@warmwind/shared/keys';
import type { Redis } from 'ioredis';
import { type Known, readRecord } from '../rooms/records.ts';

/** A job as its owner sees it; `undefined` when nobody knows it any more. Rejects when who may know is away. */
export const readJob = async (known: Known, owner: string, id: string): Promise<Job | undefined> =>
  jobFromRecord(await readRecord(known, 'job', owner, id));

/** Is the end of `run` the end of the job: no later run is known, and this one has ended. */
export async function isLatestEnd(known: Known, owner: string, id: string, run: number): Promise<boolean> {
  const job = await readJob(known, owner, id);
  return !job || (job.run <= run && isTerminal(job.state));
}

/** Has the event of the end of the job's latest run been appended? Its producer leaves a token then. */
export async function isToldEnd(known: Known, realtime: Redis, owner: string, id: string): Promise<boolean> {
  try {
    const job = await readJob(known, owner, id);
    if (!job || !isTerminal(job.state)) return !job;
    return (await realtime.hexists(roomKeys.meta(owner, `job:${id}`), `once:end:${job.run}`)) === 1;
  } catch {
    throw new ApiError('unavailable', 'The job cannot be looked up now: ask again in a moment.', {
      retryAfterMs: 1000,
    });
  }
}
