import { hasEnded } from '@warmwind/shared/contract/containers';
import { jobCommand } from '@warmwind/shared/contract/registry';
import type { Db } from '@warmwind/shared/engine/ledger/db';
import { readContainers, readInput, readJob } from '@warmwind/shared/engine/ledger/reads';
import { restoreContainer, restoreJob } from '@warmwind/shared/engine/ledger/restore';
import type { ContainerRow, JobRow } from '@warmwind/shared/engine/ledger/rows';
import { readKey } from '@warmwind/shared/engine/ledger/submissions';
import { containerIdsOf } from '@warmwind/shared/engine/refs';
import type { Context } from 'hono';
import { cancelRun } from '../cancellation/cancel-run.ts';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import type { CommitFailure } from './commit.ts';
import { idempotentReplay, type OriginalJob, readOriginalJob } from './idempotent-replay.ts';
import { refusal } from './refusal.ts';
import type { AcceptedJob, RefusedVerdict, Submission } from './submission.ts';

/**
 * Recovers a job that was admitted and not committed. A duplicate is withdrawn, and the original job is the
 * answer. A job of which Redis has only the key is read from the ledger.
 * @returns the answer; `undefined` when the key belonged to no job: it is deleted, and the submission is to
 *   be readmitted
 */
export async function recoverFailure(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  { job, failure }: { job: AcceptedJob; failure: CommitFailure },
): Promise<AcceptedJob | undefined> {
  if (failure.reason === 'forgotten') return replayFromLedger(c, services, submission, job);
  await withdraw(services, submission, job, failure);
  return idempotentReplay(services, submission, failure.original);
}

/** Deletes what the submit script wrote for a duplicate. */
async function withdraw(
  services: Services,
  submission: Submission,
  job: AcceptedJob,
  { records }: Extract<CommitFailure, { reason: 'duplicate' }>,
): Promise<void> {
  if (submission.action === 'retry') {
    // The job existed before, and workers may have its new run already: cancel the run.
    await cancelRun(services, submission.userId, job.jobId);
  } else if (job.verdict === 'accepted' || !submission.command.once) {
    // A job that was outstanding already may belong to another request: keep it.
    await services.submissions.withdraw(submission, job.jobId, records);
  }
}

/**
 * Answers with the job of a key from the ledger; without a ledger, with the job as Redis has it.
 * @returns `undefined` when the ledger has no such job: the key is deleted then
 */
async function replayFromLedger(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  job: AcceptedJob,
): Promise<AcceptedJob | undefined> {
  const { config, ledger, submissions } = services;
  const { userId, idempotency } = submission;
  if (!ledger) return job;
  const { jobId, containerId } = job;
  const requestHash = idempotency?.requestHash ?? '';
  const key = { jobId, containerId, requestHash, createdAt: new Date() };
  const original = await ledger.run(c, (db) => readOriginalJob(db, userId, key), config.SUBMIT_TIMEOUT_MS);
  if (original.job) return idempotentReplay(services, submission, original);
  if (!idempotency) return job;
  await submissions.deleteKey(userId, idempotency);
  return undefined;
}

/**
 * Recovers a submission that Redis refused, possibly because it has lost records that the ledger has: the
 * job of the key, the container that the job is about, the job to retry.
 * @returns the job of the key; `undefined` once the lost records are back in Redis, and the submission is to
 *   be readmitted
 * @throws ApiError the refusal, when the ledger confirms it
 */
export async function recoverRefusal(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  verdict: RefusedVerdict,
): Promise<AcceptedJob | undefined> {
  const { config, ledger } = services;
  const { userId, idempotency } = submission;
  const final = verdict.verdict === 'denied' || verdict.verdict === 'mismatch';
  const forgotten = verdict.verdict === 'not_found' || verdict.verdict === 'forgotten';
  if (!ledger || final || !(forgotten || idempotency)) throw refusal(verdict, submission);

  const { original, subject }: { original?: OriginalJob; subject?: Subject | undefined } = await ledger.run(
    c,
    async (db) => {
      const key = idempotency && (await readKey(db, userId, idempotency.keyHash, new Date()));
      if (key) return { original: await readOriginalJob(db, userId, key) };
      return forgotten ? { subject: await readSubject(db, submission) } : {};
    },
    config.SUBMIT_TIMEOUT_MS,
  );
  if (original) return idempotentReplay(services, submission, original);
  if (!subject) throw refusal(verdict, submission);
  await restore(services, submission, subject);
  return undefined;
}

/** The job and containers that a submission refers to, as the ledger has them. */
type Subject = { job?: JobRow; containers: ContainerRow[]; input?: string | undefined };

async function readSubject(db: Db, submission: Submission): Promise<Subject | undefined> {
  const { userId } = submission;
  if (submission.action === 'new') {
    const containers = await readContainers(db, userId, [submission.containerId]);
    return containers.length > 0 ? { containers } : undefined;
  }
  const job = await readJob(db, userId, submission.jobId);
  if (!job) return undefined;
  const { container, keepsInput } = jobCommand(job.kind);
  const isAbout = container === 'creates' || container === 'path';
  const [containers, input] = await Promise.all([
    isAbout ? readContainers(db, userId, containerIdsOf(job)) : [],
    keepsInput ? readInput(db, userId, job.id) : undefined,
  ]);
  return { job, containers, input };
}

/** @throws ApiError `conflict` when the container of a new job has ended */
async function restore(
  { submissions }: Services,
  submission: Submission,
  { job, containers, input }: Subject,
): Promise<void> {
  const ended = containers.find(({ state }) => hasEnded(state));
  if (submission.action === 'new' && ended) {
    throw refusal({ verdict: 'ended', state: ended.state }, submission);
  }
  const now = Date.now();
  await Promise.all([
    job && submissions.restore(restoreJob(job, now)),
    ...containers.map((container) => submissions.restore(restoreContainer(container, now))),
    job && input !== undefined && submissions.restoreInput(submission.userId, job.id, input),
  ]);
}
