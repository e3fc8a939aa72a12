import type { JobKind } from '@warmwind/shared/jobs';
import { containerRow, type Fields, jobRow } from '@warmwind/shared/ledger/rows';
import type { Submission as LedgerSubmission } from '@warmwind/shared/ledger/submissions';
import type { LimitScope, Quotas } from '@warmwind/shared/limits';
import type { QueueName } from '@warmwind/shared/queues';
import type { SubmitVerdict } from '@warmwind/shared/records';
import type { Idempotency } from './idempotency.ts';

/** A job that someone asks for. */
export type Submission = {
  userId: string;
  requestId: string;
  kind: JobKind;
  queue: QueueName;
  scopes: LimitScope[];
  idempotency: Idempotency | undefined;
  /** The desktop it is about, or the id that a new one gets. */
  containerId: string;
} & (
  | {
      action: 'start';
      /** The fields of the new desktop's record that the request decides, given its id. */
      container: (id: string) => Fields;
      quotas: Quotas;
    }
  | { action: 'stop' }
);

/** What the script says of a job it accepted, now or before. */
export type AcceptedJob = Extract<SubmitVerdict, { verdict: 'accepted' | 'replayed' }>;
/** What it says when it accepts none. */
export type RefusedVerdict = Exclude<SubmitVerdict, AcceptedJob>;

export const isAccepted = (verdict: SubmitVerdict): verdict is AcceptedJob =>
  verdict.verdict === 'accepted' || verdict.verdict === 'replayed';

/** The rows of an accepted job, equal to the records that the script wrote. */
export function rowsOf(submission: Submission, job: AcceptedJob): LedgerSubmission {
  const { userId, requestId, kind, queue, idempotency } = submission;
  const { jobId, containerId, run } = job;
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
    idempotency,
  };
}
