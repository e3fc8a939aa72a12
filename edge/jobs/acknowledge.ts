import { recordSubmission } from '@warmwind/shared/ledger/submissions';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { cancelRun } from './cancellation.ts';
import { answerEarlier, readEarlier } from './earlier.ts';
import { type AcceptedJob, rowsOf, runOf, type Submission } from './submission.ts';

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
  const { userId, idempotency } = submission;
  const add = async () => {
    // Once a worker has taken it there is nothing to add.
    if (job.state !== 'queued') return;
    await submissions.enqueue(runOf(submission, job));
  };
  // What has been retried was acknowledged before: a row of this submission would be one of its later run.
  const later = submission.action === 'retry' ? !job.records : job.run > 1;
  if (later) return recall(c, services, submission, job);
  const record = () =>
    ledger?.run(
      c,
      async (db) => {
        const earlier = await recordSubmission(db, rowsOf(submission, job));
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
    // The job was there before, and is cancelled: what is known of its run can't be unsaid.
    await cancelRun(services, userId, job.jobId);
  } else if (job.verdict === 'accepted' || submission.action !== 'stop') {
    // A stop that is already under way may be answered with someone else's request: it is not taken back.
    await submissions.withdraw(submission, job);
  }
  return answerEarlier(services, submission, earlier);
}

/** What Redis knows the key of, but does not have the records of this run for: the ledger does, if it is on. */
async function recall(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  job: AcceptedJob,
): Promise<AcceptedJob> {
  const { config, ledger } = services;
  const { jobId, containerId } = job;
  const requestHash = submission.idempotency?.requestHash ?? '';
  const known = { jobId, containerId, requestHash, createdAt: new Date() };
  const earlier = await ledger?.run(
    c,
    (db) => readEarlier(db, submission.userId, known),
    config.SUBMIT_TIMEOUT_MS,
  );
  return earlier ? answerEarlier(services, submission, earlier) : job;
}
