import { z } from 'zod';
import { isTerminal, JobError, jobFromRecord, type TerminalJobState } from '../../contract/jobs.ts';
import { parseJson } from '../../runtime/json.ts';
import { PreviousEnd } from '../records.ts';
import type { JobRef } from '../refs.ts';

/** How a run ended. */
export type JobEnd =
  | { state: 'completed'; result?: unknown }
  | { state: Exclude<TerminalJobState, 'completed'>; error?: JobError };

/** A run that has ended, `at` ms. `fence` is that of its last holder, `queue` the one it was in. */
export type EndedRun = {
  ref: JobRef;
  end: JobEnd;
  fence: number;
  queue: string;
  at: number;
  attemptsMade: number;
};

const Ids = z.array(z.string());

/** The ended runs of a job's record, in their order. */
export function endedRuns(userId: string, record: Record<string, string>): EndedRun[] {
  const job = jobFromRecord(record);
  if (!job) return [];
  const of = (run: number, containerId: string, containerIds: string | undefined): JobRef => ({
    userId,
    jobId: job.id,
    run,
    kind: job.kind,
    containerId,
    ...(containerIds ? { containerIds: parseJson(Ids, containerIds) } : {}),
  });
  const earlier = parseJson(z.array(PreviousEnd), record.ends ?? '[]');
  const runs = earlier.map(({ run, containerId, containerIds, state, error, ...rest }): EndedRun => {
    const end = { state, ...(error ? { error: parseJson(JobError, error) } : {}) };
    return { ref: of(run, containerId, containerIds), end, ...rest };
  });
  const { state, result, error, attemptsMade } = job;
  if (isTerminal(state)) {
    const end = state === 'completed' ? { state, result } : { state, ...(error ? { error } : {}) };
    const { fence, queue = '', finishedAt } = record;
    const ref = of(job.run, job.containerId ?? '', record.containerIds);
    runs.push({ ref, end, fence: Number(fence), queue, at: Number(finishedAt), attemptsMade });
  }
  return runs;
}
