import type { Job } from '@warmwind/shared/contract/jobs';
import { MAX_WAIT_MS } from '@warmwind/shared/contract/tickets';
import type { Context } from 'hono';
import type { AcceptedJob } from '../admission/submission.ts';
import type { AppEnv } from '../env.ts';
import { unquote } from '../http/media-type.ts';
import type { Services } from '../services.ts';

/** One preference of a list: commas within quotes do not end it. */
const PREFERENCE = /(?:"(?:[^"\\]|\\.)*"|[^,])+/g;

/**
 * Parses the seconds of `Prefer: wait=N` (RFC 7240). The first `wait` counts, capped at the longest wait; an
 * invalid number is no preference. Names are case-insensitive, values plain or quoted; other preferences and
 * parameters are ignored.
 */
export function waitSeconds(prefer: string | undefined): number | undefined {
  for (const [preference] of (prefer ?? '').matchAll(PREFERENCE)) {
    const [, name, value = ''] =
      /^\s*([^\s=;"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;]*))?/.exec(preference) ?? [];
    if (name?.toLowerCase() !== 'wait') continue;
    const seconds = unquote(value).trim();
    if (!/^\d{1,9}$/.test(seconds) || Number(seconds) === 0) return undefined;
    return Math.min(Number(seconds), MAX_WAIT_MS / 1000);
  }
  return undefined;
}

/**
 * Waits for the end of a job if its caller prefers to wait. The relay watches the job: without a relay there
 * is no waiting.
 * @returns the job if it ended in time; `undefined` means to answer 202
 */
export async function waitForEnd(
  c: Context<AppEnv>,
  { relay }: Services,
  { jobId, run }: AcceptedJob,
  prefer: string | undefined,
): Promise<Job | undefined> {
  const seconds = waitSeconds(prefer);
  if (seconds === undefined) return undefined;
  const job = await relay.ended(c.get('user').id, jobId, seconds * 1000);
  if (!job || job.run < run) return undefined;
  c.header('Preference-Applied', `wait=${seconds}`);
  return job;
}
