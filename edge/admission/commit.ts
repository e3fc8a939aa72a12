import { recordSubmission } from '@warmwind/shared/ledger/submissions';
import type { Context } from 'hono';
import { cancelRun } from '../cancellation/cancel-run.ts';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { refusal } from './refusal.ts';
import { answerEarlier, readEarlier } from './replay.ts';
import { type AcceptedJob, isAccepted, rowsOf, runOf, type Submission } from './submission.ts';

/**
 * Puts an accepted job, new or accepted before, into its queue and into the ledger. With a key the ledger comes first: if
 * it knows the key for another job, nothing of this one may start.
 *
 * @returns the job, or the other job that the key stands for
 */
export async function acknowledge(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  job: AcceptedJob,
): Promise<AcceptedJob> {
  const { config, ledger, submissions } = services;
  const { userId, idempotency } = submission;
  const { records } = job;
  // What has been retried was acknowledged before: a row of a new submission would be one of its later run.
  const later = submission.action === 'new' && job.run > 1;
  if (!records || later) return recall(c, services, submission, job);
  const add = async () => {
    // Once a worker has taken it there is nothing to add.
    if (job.state === 'queued') await submissions.enqueue(runOf(submission, job, records));
  };
  const record = () =>
    ledger?.run(
      c,
      async (db) => {
        const earlier = await recordSubmission(db, rowsOf(submission, records));
        return earlier && readEarlier(db, userId, earlier);
      },
      config.SUBMIT_TIMEOUT_MS,
    );

  if (!idempotency) {
    await Promise.all([record(), add()]);
    return job;
  }
  const earlier = await record();
  if (!earlier) {
    await add();
    return job;
  }
  if (submission.action === 'retry') {
    // The job was there before, and is cancelled: what is known of its run can't be undone.
    await cancelRun(services, userId, job.jobId);
  } else if (job.verdict === 'accepted' || !submission.command.once) {
    // One that is outstanding already may be another request's: it is not taken back.
    await submissions.withdraw(submission, job.jobId, records);
  }
  return answerEarlier(services, submission, earlier);
}

/**
 * Answers for a job of which Redis knows the key, and not the records of this run: the ledger has them, if it is on. A
 * key that stands for nothing is forgotten, and the submission is decided once more without being charged again.
 */
async function recall(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  job: AcceptedJob,
): Promise<AcceptedJob> {
  const { config, ledger, submissions } = services;
  const { userId, idempotency } = submission;
  if (!ledger) return job;
  const { jobId, containerId } = job;
  const requestHash = idempotency?.requestHash ?? '';
  const known = { jobId, containerId, requestHash, createdAt: new Date() };
  const earlier = await ledger.run(c, (db) => readEarlier(db, userId, known), config.SUBMIT_TIMEOUT_MS);
  if (earlier.job || !idempotency) return answerEarlier(services, submission, earlier);
  await submissions.forget(userId, idempotency);
  const { verdict } = await submissions.decide({ ...submission, scopes: [] });
  if (!isAccepted(verdict)) throw refusal(verdict, submission);
  return acknowledge(c, services, submission, verdict);
}
