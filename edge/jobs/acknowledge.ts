import { recordSubmission } from '@warmwind/shared/ledger/submissions';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { answerEarlier, readEarlier } from './earlier.ts';
import { type AcceptedJob, rowsOf, type Submission } from './submission.ts';

/**
 * What the script accepted, now or before, is in its queue and in the ledger when this returns. With a key the ledger
 * comes first: if it knows the key for another job, nothing of this one may start, and → is that other job.
 */
export async function acknowledge(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  job: AcceptedJob,
): Promise<AcceptedJob> {
  const { config, ledger, submissions } = services;
  const { userId, requestId, kind } = submission;
  const add = async () => {
    // Once a worker has taken it there is nothing to add.
    if (job.state !== 'queued') return;
    const { queue, jobId, run, containerId, priority } = job;
    await submissions.enqueue({ queue, kind, userId, jobId, run, containerId, requestId, priority });
  };
  const record = () =>
    ledger?.run(
      c,
      async (db) => {
        const earlier = await recordSubmission(db, rowsOf(submission, job));
        return earlier && readEarlier(db, userId, earlier);
      },
      config.SUBMIT_TIMEOUT_MS,
    );

  if (!submission.idempotency) {
    await Promise.all([record(), add()]);
    return job;
  }
  const earlier = await record();
  if (!earlier) {
    await add();
    return job;
  }
  // A stop that is already under way may be answered with someone else's request: only what was made here is taken back.
  if (job.verdict === 'accepted' || submission.action === 'start')
    await submissions.withdraw(submission, job);
  return answerEarlier(services, submission, earlier);
}
