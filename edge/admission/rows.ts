import type { JobKind } from '@warmwind/shared/contract/registry';
import { containerRow, type Fields, type JobRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import type { Submission as LedgerSubmission } from '@warmwind/shared/engine/ledger/submissions';
import type { ChangedRecords } from '@warmwind/shared/engine/records';
import { timeOfSeq } from '../ledger/seq.ts';
import type { AcceptedJob, QueuedRun, Submission } from './submission.ts';

/** Builds the queued run of an accepted job. */
export function runOf(submission: Submission, job: AcceptedJob, { job: written }: ChangedRecords): QueuedRun {
  const { userId, requestId } = submission;
  const { queue, jobId, run, containerId, containerIds, priority } = job;
  const kind = written.record.kind as JobKind;
  const about = { containerId, ...(containerIds ? { containerIds } : {}) };
  return { queue, kind, userId, jobId, run, ...about, requestId, priority };
}

/** Builds the queued run of a job that only the ledger has. */
export function runOfRow({ id: jobId, containerIds, ...row }: JobRow): QueuedRun {
  const { userId, kind, run, containerId, requestId, queue, priority } = row;
  const about = { containerId, ...(containerIds ? { containerIds } : {}) };
  return { queue, kind, userId, jobId, run, ...about, requestId, priority };
}

/** Builds the ledger rows of an accepted job from the records as the script wrote them. */
export function rowsOf(submission: Submission, { job, containers = [] }: ChangedRecords): LedgerSubmission {
  const { userId, idempotency } = submission;
  if (submission.action === 'new') {
    const { input } = submission;
    return {
      job: jobRow(userId, { ...job.record, ...NEW_JOB }),
      containers: containers.map(({ record }) => containerRow(userId, { ...record, ...NEW_CONTAINER })),
      ...(input ? { input } : {}),
      idempotency,
    };
  }
  return {
    job: jobRow(userId, job.record),
    containers: containers.flatMap(({ record }) => (record.id ? [containerRow(userId, record)] : [])),
    retry: { at: timeOfSeq(job.seq), seqs: { job: job.seq, containers: containers.map(({ seq }) => seq) } },
    idempotency,
  };
}

/**
 * The initial fields of a job. A replay may find records that have changed since; the ledger gets the initial
 * state.
 */
const NEW_JOB: Fields = {
  state: 'queued',
  run: '1',
  fence: '0',
  attemptsMade: '0',
  result: '',
  error: '',
  startedAt: '',
  finishedAt: '',
};
const NEW_CONTAINER: Fields = {
  state: 'requested',
  fence: '0',
  host: '',
  boot: '',
  error: '',
  startedAt: '',
  expiresAt: '',
  endedAt: '',
  endReason: '',
  warm: '',
  usedAt: '',
  pausedBy: '',
  exit: '',
};
