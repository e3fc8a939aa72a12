import { isTerminal, type Job } from '@warmwind/shared/contract/jobs';
import { type Envelope, isTerminalEvent } from '@warmwind/shared/contract/rooms';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { jobEvents } from '../openai/events.ts';
import { findJob } from '../records/find-job.ts';
import type { Services } from '../services.ts';

/** Receives the progress of a job: percent, and a text for people. */
export type OnProgress = (progress: { percent: number; message?: string | undefined }) => void;

type WaitOptions = {
  jobId: string;
  waitMs: number;
  onProgress: OnProgress;
};

const hasEnded = (event: Envelope): boolean =>
  isTerminalEvent(event.type) || (event.type === 'job.snapshot' && isTerminal(event.data.state));

/**
 * Waits for the end of a job, `waitMs` at most, and reports its progress. While the relay can't be reached it
 * does not wait.
 * @returns the job as it is then; `undefined` when it is not found
 */
export async function waitForJob(
  c: Context<AppEnv>,
  services: Services,
  { jobId, waitMs, onProgress }: WaitOptions,
): Promise<Job | undefined> {
  const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(waitMs)]);
  try {
    for await (const event of jobEvents(services.relay, c.get('user').id, jobId, signal)) {
      if (event.type === 'job.progress') onProgress(event.data);
      if (hasEnded(event)) break;
    }
  } catch {
    // The time is over, or no relay is available: the record has the present state.
  }
  return findJob(c, services, jobId);
}
