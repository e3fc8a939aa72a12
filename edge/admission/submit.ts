import { ApiError } from '@warmwind/shared/errors';
import { withTimeout } from '@warmwind/shared/timeout';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import { applyDecision } from '../limits/charge.ts';
import type { Services } from '../services.ts';
import { refuseWhenFull } from './backpressure.ts';
import { acknowledge } from './commit.ts';
import { reconsider } from './recover.ts';
import { type AcceptedJob, isAccepted, type Submission } from './submission.ts';

/**
 * Submits, and answers with the job, new or as it was accepted before, once it is in its queue and in the ledger. Throws
 * whatever speaks against it as the error its caller sees. When Redis or the ledger does not answer, nothing is known:
 * the same `Idempotency-Key` makes the retry safe.
 */
export async function submit(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
): Promise<AcceptedJob> {
  await refuseWhenFull(services, submission);
  const charged = c.get('charged');
  c.set('charged', true);
  const decided = services.submissions.decide(charged ? { ...submission, scopes: [] } : submission);
  const { decision, verdict } = await orUnknown(c, submission, decided);
  if (!charged) applyDecision(c, decision, submission.userId);
  const work = isAccepted(verdict)
    ? acknowledge(c, services, submission, verdict)
    : reconsider(c, services, submission, verdict);
  const job = await orUnknown(c, submission, withTimeout(work, services.config.SUBMIT_TIMEOUT_MS));
  c.set('jobId', job.jobId);
  if (job.verdict === 'replayed') c.header('Idempotent-Replayed', 'true');
  return job;
}

async function orUnknown<T>(c: Context<AppEnv>, { idempotency }: Submission, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    log.warn('a submission is unknown', { requestId: c.get('requestId'), ...failureOf(error) });
    const next = idempotency
      ? 'retry with the same Idempotency-Key, and it runs once.'
      : 'look at GET /jobs before you retry. A request with an Idempotency-Key can be retried and runs once.';
    throw unavailable(`It is unknown whether this was accepted: ${next}`);
  }
}
