import { ApiError } from '@warmwind/shared/contract/errors';
import type { SubmitVerdict } from '@warmwind/shared/engine/records';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import type { Services } from '../services.ts';
import { admit, readmit } from './admit.ts';
import { commit } from './commit.ts';
import { recoverFailure, recoverRefusal } from './recover.ts';
import { type AcceptedJob, isAccepted, type Submission } from './submission.ts';

/**
 * Submits in three steps: admit (decide, and write the records to Redis), commit (write to the queue and the
 * ledger), and recover when the first two do not succeed.
 * @returns the acknowledged job, new or accepted before
 * @throws ApiError the caller's error. `unavailable` when Redis or the ledger did not answer: it is then
 *   unknown whether the job was accepted, and the same `Idempotency-Key` makes the retry safe.
 */
export async function submit(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
): Promise<AcceptedJob> {
  const verdict = await orUnavailable(c, submission, admit(c, services, submission));
  const acknowledged = acknowledge(c, services, submission, verdict);
  const { SUBMIT_TIMEOUT_MS } = services.config;
  const job = await orUnavailable(c, submission, withTimeout(acknowledged, SUBMIT_TIMEOUT_MS));
  c.set('jobId', job.jobId);
  if (job.verdict === 'replayed') c.header('Idempotent-Replayed', 'true');
  return job;
}

/**
 * Commits an admitted job. After a recovery that restored what Redis had lost, the submission is admitted
 * again.
 */
async function acknowledge(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  verdict: SubmitVerdict,
): Promise<AcceptedJob> {
  let replayed: AcceptedJob | undefined;
  if (isAccepted(verdict)) {
    const failure = await commit(c, services, submission, verdict);
    if (!failure) return verdict;
    replayed = await recoverFailure(c, services, submission, { job: verdict, failure });
  } else {
    replayed = await recoverRefusal(c, services, submission, verdict);
  }
  return replayed ?? acknowledge(c, services, submission, await readmit(services, submission));
}

async function orUnavailable<T>(
  c: Context<AppEnv>,
  { idempotency }: Submission,
  step: Promise<T>,
): Promise<T> {
  try {
    return await step;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    log.warn('submission outcome unknown', { requestId: c.get('requestId'), ...failureOf(error) });
    const next = idempotency
      ? 'retry with the same Idempotency-Key, and it runs once.'
      : 'look at GET /jobs before you retry. A request with an Idempotency-Key can be retried and runs once.';
    throw unavailable(`It is unknown whether this was accepted: ${next}`);
  }
}
