import type { SubmitVerdict } from '@warmwind/shared/engine/records';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { applyDecision } from '../limits/charge.ts';
import type { Services } from '../services.ts';
import { refuseUnderBackpressure } from './backpressure.ts';
import { refusal } from './refusal.ts';
import { type AcceptedJob, isAccepted, type Submission } from './submission.ts';

/**
 * Decides on a submission. It checks the depth of the queue first; then one script decides rate limits,
 * idempotency, quotas and the state of the container or job, and writes the records, in one atomic step. The
 * request is charged at most once.
 * @throws ApiError `rate_limited`, or `unavailable` when the queue is full
 */
export async function admit(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
): Promise<SubmitVerdict> {
  await refuseUnderBackpressure(services, submission);
  const charged = c.get('charged');
  c.set('charged', true);
  const { decision, verdict } = await services.submissions.decide(
    charged ? { ...submission, scopes: [] } : submission,
  );
  if (!charged) applyDecision(c, decision, submission.userId);
  return verdict;
}

/**
 * Decides again, without a charge, after a recovery has restored what Redis had lost.
 * @throws ApiError when the submission is refused now
 */
export async function readmit({ submissions }: Services, submission: Submission): Promise<AcceptedJob> {
  const { verdict } = await submissions.decide({ ...submission, scopes: [] });
  if (!isAccepted(verdict)) throw refusal(verdict, submission);
  return verdict;
}
