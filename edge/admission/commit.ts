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
  /** Redis knows the key, and no longer the records of this run. */
  | { reason: 'forgotten' }
  /** The ledger knows the key for another job. */
  | { reason: 'duplicate'; original: OriginalJob; records: ChangedRecords };

/**
 * Puts an admitted job into its queue and into the ledger: acknowledged means recorded. Without a key both happen at
 * once. With a key the ledger comes first: while it knows the key for another job, nothing of this one may start.
 * @returns `undefined` once both have it
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
    // Once a worker has taken the run there is nothing to add.
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

/** @returns the job that the ledger has the key for, if that is another; `undefined` once this one is recorded */
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
