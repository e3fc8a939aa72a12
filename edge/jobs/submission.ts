import type { JobKind } from '@warmwind/shared/jobs';
import { containerRow, type Fields, jobRow } from '@warmwind/shared/ledger/rows';
import type { Submission as LedgerSubmission } from '@warmwind/shared/ledger/submissions';
import type { LimitScope, Quotas } from '@warmwind/shared/limits';
import type { JobData } from '@warmwind/shared/queues';
import { PRIORITY_CLASS, type PriorityClass, type QueueName } from '@warmwind/shared/queues';
import type { ChangedRecords, SubmitVerdict } from '@warmwind/shared/records';
import type { Idempotency } from './idempotency.ts';

type Asked = {
  userId: string;
  requestId: string;
  scopes: LimitScope[];
  idempotency: Idempotency | undefined;
};

/** A new job. */
export type NewJob = Asked & {
  kind: JobKind;
  queue: QueueName;
  /** The desktop it is about, or the id that a new one gets; '' for work without one. */
  containerId: string;
  /** Where its owner wants to be told of it. */
  webhookUrl?: string | undefined;
} & (
    | {
        action: 'start';
        /** The fields of the new desktop's record that the request decides, given its id. */
        container: (id: string) => Fields;
        quotas: Quotas;
      }
    | { action: 'stop' }
    | {
        action: 'inference';
        /** What the worker is given, JSON. */
        input: string;
        priorityClass: PriorityClass;
        timeoutMs: number | undefined;
        quotas: Quotas;
      }
  );

/** A new run of a job that has ended without success. */
type Retry = Asked & {
  action: 'retry';
  jobId: string;
  /** The id that the desktop of a start gets anew. */
  containerId: string;
  quotas: Quotas;
};

/** What someone asks for. */
export type Submission = NewJob | Retry;

/** A run that belongs into `queue`. */
export type QueuedRun = Omit<JobData, 'version'> & { queue: string; priority: number };

/** What the script says of a job it accepted, now or before. */
export type AcceptedJob = Extract<SubmitVerdict, { verdict: 'accepted' | 'replayed' }>;
/** What it says when it accepts none. */
export type RefusedVerdict = Exclude<SubmitVerdict, AcceptedJob>;

export const isAccepted = (verdict: SubmitVerdict): verdict is AcceptedJob =>
  verdict.verdict === 'accepted' || verdict.verdict === 'replayed';

/** The run of an accepted job, for its queue. A retry has its records. */
export function runOf(submission: Submission, job: AcceptedJob): QueuedRun {
  const { userId, requestId } = submission;
  const { queue, jobId, run, containerId, priority } = job;
  const kind = submission.action === 'retry' ? (job.records?.job.record.kind as JobKind) : submission.kind;
  return { queue, kind, userId, jobId, run, containerId, requestId, priority };
}

/** The rows of an accepted job, equal to the records that the script wrote. */
export function rowsOf(submission: Submission, job: AcceptedJob): LedgerSubmission {
  if (job.records) return rowsOfRecords(submission, job.records);
  return rowsOfNew(submission as NewJob, job);
}

function rowsOfNew(submission: NewJob, job: AcceptedJob): LedgerSubmission {
  const { userId, requestId, kind, queue, idempotency, webhookUrl = '' } = submission;
  const { jobId, containerId, run, priority } = job;
  const { priorityClass, timeoutMs, input } =
    submission.action === 'inference' ? submission : { priorityClass: PRIORITY_CLASS.other };
  // A replay of what Redis only knows the key of has neither: the ledger has its row, or it begins here.
  const createdAt = `${job.createdAt || Date.now()}`;
  return {
    job: jobRow(userId, {
      id: jobId,
      kind,
      state: 'queued',
      run: `${run}`,
      createdAt,
      containerId,
      queue: job.queue || queue,
      priority: `${priority}`,
      priorityClass: `${priorityClass}`,
      timeoutMs: `${timeoutMs ?? 0}`,
      webhookUrl,
      requestId,
    }),
    container:
      submission.action === 'start'
        ? containerRow(userId, {
            ...submission.container(containerId),
            state: 'requested',
            createdAt,
            jobId,
          })
        : undefined,
    input,
    idempotency,
  };
}

/** A retry brings its records along. */
function rowsOfRecords(
  { userId, idempotency }: Submission,
  { job, container }: ChangedRecords,
): LedgerSubmission {
  return {
    job: jobRow(userId, job.record),
    container: container?.record.id ? containerRow(userId, container.record) : undefined,
    retry: { at: timeOf(job.seq), seqs: { job: job.seq, container: container?.seq ?? '' } },
    idempotency,
  };
}

/** When a change was made, by its `seq` (`<ms>-<n>`); without one, now. */
export const timeOf = (seq: string): Date => (seq === '' ? new Date() : new Date(Number.parseInt(seq, 10)));
