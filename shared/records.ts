import type { JobKind, TerminalJobState } from './jobs.ts';
import { keys } from './keys.ts';
import type { LimitScope, Quotas } from './limits.ts';
import type { QueueName } from './queues.ts';

/** How long a record is kept after its last change while its job or desktop is open, ms. */
export const OPEN_RECORD_TTL_MS = 7 * 86_400_000;
/** How long the record of what has ended stays readable, ms. Also how long an `Idempotency-Key` is remembered. */
export const ENDED_RECORD_TTL_MS = 86_400_000;
/** How long something outstanding counts against a quota without any sign of life, ms. */
export const OUTSTANDING_MS = 3_600_000;

/**
 * How long a submission counts against a quota before it was seen in its queue, ms: it may have died half-way. Where the
 * ledger remembers what was acknowledged, its records and its key are kept no longer either.
 */
export const RESERVATION_MS = 600_000;
/** Changes of one user that wait for the ledger, at most; older ones go first, and the reconciler makes up for them. */
export const MAX_CHANGES = 10_000;

/** What a submission says of its job, beside what it is about. */
export type JobRequest = {
  id: string;
  kind: JobKind;
  requestId: string;
  /** See `PRIORITY_CLASS`. */
  priorityClass?: number | undefined;
  /** Where its owner wants to be told. */
  webhookUrl?: string | undefined;
  /** How long one attempt may take, ms, if not the usual. */
  timeoutMs?: number | undefined;
};

/**
 * What the submit script is told, as JSON in ARGV[1]; ARGV[2] is an inference's input, '' for all else. Times in ms unless
 * named otherwise.
 */
export type SubmitRequest = {
  /** Unique to this request, see the limiter. */
  nonce: string;
  /** One a KEYS scope: tiers as [limit, window in µs]. */
  scopes: { tiers: [number, number][] }[];
  /** SHA-256 of the body, when the caller sent an `Idempotency-Key`. */
  bodyHash?: string;
  userId: string;
  openTtlMs: number;
  reservationMs: number;
  /** How long the new records, and the idempotency key, are kept until the submission is confirmed. */
  unconfirmedTtlMs: { record: number; key: number };
} & (
  | {
      action: 'start';
      job: JobRequest;
      queue: QueueName;
      container: Record<string, string>;
      quotas: Quotas;
    }
  | { action: 'stop'; job: JobRequest; queue: QueueName; containerId: string }
  /** `containerId` is the desktop that is read, if one is. */
  | { action: 'inference'; job: JobRequest; queue: QueueName; containerId?: string; quotas: Quotas }
  /** `containerId` is the id of the desktop that a start gets anew; `maxChanges` as in the change scripts. */
  | {
      action: 'retry';
      job: Pick<JobRequest, 'id' | 'requestId'>;
      containerId: string;
      quotas: Quotas;
      maxChanges: number | '';
      /** How long its idempotency key is remembered. */
      keyTtlMs: number;
    }
);

/** A record as a script has left it; `seq` is that of its change for the ledger, '' when there is none. */
export type ChangedRecord = { seq: string; record: Record<string, string> };
/** `container` is the desktop of a start. */
export type ChangedRecords = { job: ChangedRecord; container?: ChangedRecord };

/** What it answers, after the limiter's decision. */
export type SubmitVerdict =
  | { verdict: 'denied' | 'mismatch' | 'not_found' }
  | { verdict: 'ended'; state: string }
  | { verdict: 'quota'; name: string; limit: number; used: number }
  /** A retry of what has not ended, or has completed; and of what Redis no longer has all of. */
  | { verdict: 'unretryable'; state: string }
  | { verdict: 'forgotten' }
  /** `state` is that of the job's record: while `queued`, adding it to `queue` again is safe and needed. */
  | {
      verdict: 'accepted' | 'replayed';
      jobId: string;
      containerId: string;
      queue: string;
      state: string;
      run: number;
      priority: number;
      /** When the job was created, ms of Redis. */
      createdAt: number;
      /** Of a retry. */
      records?: ChangedRecords;
    };

/** The KEYS of the submit script, in its order. `idempotencyHash` is left out when the caller sent no key. */
export const submitKeys = (
  userId: string,
  scopes: LimitScope[],
  job: { jobId: string; containerId: string; idempotencyHash?: string | undefined },
): string[] => [
  ...scopes.map((scope) => keys.limit(userId, scope)),
  keys.idempotency(userId, job.idempotencyHash ?? 'none'),
  keys.job(userId, job.jobId),
  keys.jobs(userId),
  keys.openJobs(userId),
  keys.container(userId, job.containerId),
  keys.containers(userId),
  keys.openContainers(userId),
  keys.input(userId, job.jobId),
  keys.changes(userId),
];

/** A run that was cancelled, as it is published on `CANCELLED_CHANNEL`. */
export type Cancelled = {
  userId: string;
  jobId: string;
  run: number;
  kind: JobKind;
  /** '' for work without a desktop. */
  containerId: string;
};

/** How an earlier run of a retried job ended, in the field `ends` of its record (JSON, the last five). */
export type EarlierEnd = {
  run: number;
  state: Exclude<TerminalJobState, 'completed'>;
  fence: number;
  queue: string;
  containerId: string;
  /** `JobError` as JSON. */
  error?: string;
  /** When it ended, ms, and how many attempts had. */
  at: number;
  attemptsMade: number;
};

/** What the cancel script answers, as JSON. A start's desktop is on its way out then. */
export type CancelVerdict =
  | { verdict: 'not_found' }
  | { verdict: 'ended'; state: string }
  /** A stop is not taken back. */
  | { verdict: 'uncancellable' }
  | ({ verdict: 'cancelled' } & ChangedRecords);

/** The KEYS of the cancel script, in its order. */
export const cancelKeys = (userId: string, jobId: string): string[] => [
  keys.job(userId, jobId),
  keys.openJobs(userId),
  keys.changes(userId),
  keys.input(userId, jobId),
];
