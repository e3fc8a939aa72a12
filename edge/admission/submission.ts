import type { JobCommand, Lane } from '@warmwind/shared/contract/command';
import type { JobKind } from '@warmwind/shared/contract/registry';
import { containerRow, type Fields, type JobRow, jobRow } from '@warmwind/shared/ledger/rows';
import type { Submission as LedgerSubmission } from '@warmwind/shared/ledger/submissions';
import type { LimitScope, Quotas } from '@warmwind/shared/limits';
import type { JobData, PriorityClass } from '@warmwind/shared/queues';
import type { ChangedRecords, SubmitVerdict } from '@warmwind/shared/records';
import type { Idempotency } from './idempotency.ts';

type Request = {
  userId: string;
  requestId: string;
  scopes: readonly LimitScope[];
  idempotency: Idempotency | undefined;
  quotas: Quotas;
};

/** A new job. */
export type NewJob = Request & {
  action: 'new';
  command: JobCommand<JobKind>;
  lane: Lane;
  /** The container that it is about; '' for work without one, and for what creates containers. */
  containerId: string;
  /** The fields of the records of the containers that it creates, each with an id of its own. */
  containers: Fields[];
  /** What the worker is given, JSON; '' when its command keeps no input. */
  input: string;
  priorityClass?: PriorityClass | undefined;
  timeoutMs?: number | undefined;
  /** Where its owner wants to be notified of it. */
  webhookUrl?: string | undefined;
};

/** A new run of a job that has ended without success. */
export type Retry = Request & { action: 'retry'; jobId: string };

export type Submission = NewJob | Retry;

/** A run that belongs into `queue`. */
export type QueuedRun = Omit<JobData, 'version'> & { queue: string; priority: number };

/** The script's verdict of a job it accepted, now or before. */
export type AcceptedJob = Extract<SubmitVerdict, { verdict: 'accepted' | 'replayed' }>;
/** Its verdict when it accepts none. */
export type RefusedVerdict = Exclude<SubmitVerdict, AcceptedJob>;

export const isAccepted = (verdict: SubmitVerdict): verdict is AcceptedJob =>
  verdict.verdict === 'accepted' || verdict.verdict === 'replayed';

/** The run of an accepted job, for its queue. */
export function runOf(submission: Submission, job: AcceptedJob, { job: written }: ChangedRecords): QueuedRun {
  const { userId, requestId } = submission;
  const { queue, jobId, run, containerId, containerIds, priority } = job;
  const kind = written.record.kind as JobKind;
  const about = { containerId, ...(containerIds ? { containerIds } : {}) };
  return { queue, kind, userId, jobId, run, ...about, requestId, priority };
}

/** The run of a job that only the ledger knows, for its queue. */
export function runOfRow({ id: jobId, containerIds, ...row }: JobRow): QueuedRun {
  const { userId, kind, run, containerId, requestId, queue, priority } = row;
  const about = { containerId, ...(containerIds ? { containerIds } : {}) };
  return { queue, kind, userId, jobId, run, ...about, requestId, priority };
}

/** The rows of an accepted job: the records that the script wrote, as they were then. */
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
    retry: { at: timeOf(job.seq), seqs: { job: job.seq, containers: containers.map(({ seq }) => seq) } },
    idempotency,
  };
}

/** A replay may find records that have changed since: a submission writes what they began with. */
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
};

/** When a change was made, by its `seq` (`<ms>-<n>`); without one, now. */
export const timeOf = (seq: string): Date => (seq === '' ? new Date() : new Date(Number.parseInt(seq, 10)));
