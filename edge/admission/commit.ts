import { recordSubmission } from '@warmwind/shared/engine/ledger/submissions';
import type { ChangedRecords } from '@warmwind/shared/engine/records';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { type OriginalJob, readOriginalJob } from './idempotent-replay.ts';
import { rowsOf, runOf } from './rows.ts';
import type { AcceptedJob, Submission } from './submission.ts';

/** Why an admitted job was not committed. */
export type CommitFailure =
  /** Redis has the key, but no longer the records of this run. */
  | { reason: 'forgotten' }
  /** The ledger knows the key for another job. */
  | { reason: 'duplicate'; original: OriginalJob; records: ChangedRecords };

/**
 * Puts an admitted job into its queue and into the ledger: an acknowledged job is a recorded job. Without a
 * key both writes happen at once. With a key the ledger is written first: while it has the key for another
 * job, this job must not start.
 * @returns the failure; `undefined` once both writes have succeeded
 */
export async function commit(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  job: AcceptedJob,
): Promise<CommitFailure | undefined> {
  const { records } = job;
  // A job that has been retried since was acknowledged before: its records are those of the later run.
  const retriedSince = submission.action === 'new' && job.run > 1;
  if (!records || retriedSince) return { reason: 'forgotten' };
  const enqueue = async () => {
    // A run that a worker has taken is not added again.
    if (job.state === 'queued') await services.submissions.enqueue(runOf(submission, job, records));
  };
  const original = record(c, services, submission, records);
  if (!submission.idempotency) {
    await Promise.all([original, enqueue()]);
    return undefined;
  }
  const found = await original;
  if (found) return { reason: 'duplicate', original: found, records };
  await enqueue();
  return undefined;
}

/**
 * Records a submission in the ledger.
 * @returns the job for which the ledger already has the key; `undefined` once this job is recorded
 */
async function record(
  c: Context<AppEnv>,
  { config, ledger }: Services,
  submission: Submission,
  records: ChangedRecords,
): Promise<OriginalJob | undefined> {
  return ledger?.run(
    c,
    async (db) => {
      const original = await recordSubmission(db, rowsOf(submission, records));
      return original && readOriginalJob(db, submission.userId, original);
    },
    config.SUBMIT_TIMEOUT_MS,
  );
}
