import { z } from 'zod';
import { type JobKind, TERMINAL_JOB_STATES } from '../contract/jobs.ts';
import type { LimitScope, Quotas } from '../contract/limits.ts';
import type { SubmitPlan } from '../contract/plan.ts';
import { keys } from './keys.ts';
import type { JobRef } from './refs.ts';
import type { ScriptTier } from './user-limits.ts';

/** How long a record is kept after its last change while its job or desktop is open, ms. */
export const OPEN_RECORD_TTL_MS = 7 * 86_400_000;
/**
 * How long the record of an ended job or desktop stays readable, ms. Also how long an `Idempotency-Key` is
 * remembered.
 */
export const ENDED_RECORD_TTL_MS = 86_400_000;
/** How long an outstanding job or desktop counts against a quota without an update of its record, ms. */
export const OUTSTANDING_MS = 3_600_000;

/**
 * How long a submission counts against a quota before it was seen in its queue, ms: the request may
 * have failed midway. With a ledger, the records and the idempotency key of a submission that was never
 * confirmed expire after the same time.
 */
export const RESERVATION_MS = 600_000;
/**
 * The most changes of one user that wait for the ledger. Beyond it the oldest are dropped, and the reconciler
 * records what they held.
 */
export const MAX_CHANGES = 10_000;

/** The job of a submission, without its container. */
export type JobRequest = {
  id: string;
  kind: JobKind;
  requestId: string;
  /** See `PRIORITY_CLASS`. */
  priorityClass?: number | undefined;
  /** The address of its owner's webhook. */
  webhookUrl?: string | undefined;
  /** The time-out of one attempt, ms; the worker's own if left out. */
  timeoutMs?: number | undefined;
  /** `Labels` as JSON. */
  labels?: string | undefined;
};

/** A scope for the scripts of the limiter. */
export type ScriptScope = { scope: LimitScope; tiers: ScriptTier[] };

/**
 * The request of the submit script, as JSON in ARGV[1]; ARGV[2] is the input for the worker, '' for none.
 * Times in ms unless named otherwise.
 */
export type SubmitRequest = {
  /** Unique to this request, see the limiter. */
  nonce: string;
  /** One for each scope of KEYS. */
  scopes: ScriptScope[];
  /** SHA-256 of the body, when the caller sent an `Idempotency-Key`. */
  bodyHash?: string;
  userId: string;
  /** See `recordPrefixes`. */
  prefixes: { job: string; container: string };
  quotas: Quotas;
  openTtlMs: number;
  reservationMs: number;
  /** How long the new records, and the idempotency key, are kept until the submission is confirmed. */
  unconfirmedTtlMs: { record: number; key: number };
} & (NewJobRequest | RetryRequest);

/** `containerId` is the container that the job is about, `containers` the fields of those that it creates. */
type NewJobRequest = {
  plan: SubmitPlan;
  job: JobRequest;
  containerId?: string;
  containers?: Record<string, string>[];
};

type RetryRequest = {
  plans: Record<string, SubmitPlan>;
  job: Pick<JobRequest, 'id' | 'requestId'>;
  /** The ids that new containers get, as many as a job may have. */
  newIds: string[];
  /** Bound of the owner's changes, as in the change scripts. */
  maxChanges: number | '';
  /** How long its idempotency key is remembered. */
  keyTtlMs: number;
};

/** How many containers one job may create. */
export const MAX_JOB_CONTAINERS = 10;

/** A record as a script has left it; `seq` is that of its change for the ledger, '' when there is none. */
const ChangedRecord = z.object({ seq: z.string(), record: z.record(z.string(), z.string()) });
export type ChangedRecord = z.infer<typeof ChangedRecord>;
/** `containers` are those that the job creates. */
const ChangedRecords = z.object({ job: ChangedRecord, containers: z.array(ChangedRecord).optional() });
export type ChangedRecords = z.infer<typeof ChangedRecords>;

/** The submit script's answer, after the limiter's decision. */
export const SubmitVerdict = z.discriminatedUnion('verdict', [
  z.object({ verdict: z.enum(['denied', 'mismatch', 'not_found']) }),
  /** The container has ended, or is in a state in which it does not take the command. */
  z.object({ verdict: z.enum(['ended', 'unready']), state: z.string() }),
  z.object({ verdict: z.literal('quota'), name: z.string(), limit: z.number(), used: z.number() }),
  /** A retry of a job that has not ended, has completed, or is of a kind that is not retried. */
  z.object({ verdict: z.literal('unretryable'), state: z.string() }),
  /** A retry of a job whose input or container Redis no longer has. */
  z.object({ verdict: z.literal('forgotten') }),
  /** `state` is that of the job's record: while `queued`, adding it to `queue` again is safe and needed. */
  z.object({
    verdict: z.enum(['accepted', 'replayed']),
    jobId: z.string(),
    /** The container that it is about, or the first that it creates; '' for none. */
    containerId: z.string(),
    /** All that it creates, when they are several. */
    containerIds: z.array(z.string()).optional(),
    queue: z.string(),
    state: z.string(),
    run: z.number(),
    priority: z.number(),
    /** When the job was created, ms of Redis. */
    createdAt: z.number(),
    /** Left out when Redis has only the idempotency key of the job. */
    records: ChangedRecords.optional(),
  }),
]);
export type SubmitVerdict = z.infer<typeof SubmitVerdict>;

/** The KEYS of the submit script, in its order. `idempotencyHash` is left out when the caller sent no key. */
export const submitKeys = (
  userId: string,
  scopes: readonly LimitScope[],
  job: { jobId: string; idempotencyHash?: string | undefined },
): string[] => [
  ...scopes.map((scope) => keys.limit(userId, scope)),
  keys.idempotency(userId, job.idempotencyHash ?? 'none'),
  keys.job(userId, job.jobId),
  keys.jobs(userId),
  keys.openJobs(userId),
  keys.containers(userId),
  keys.openContainers(userId),
  keys.input(userId, job.jobId),
  keys.changes(userId),
  keys.userLimits(userId),
];

/** A run that was cancelled, as it is published on `CANCELLED_CHANNEL`. */
export type Cancelled = JobRef;

/** How an earlier run of a retried job ended, in the field `ends` of its record (JSON, the last five). */
export const PreviousEnd = z.object({
  run: z.number(),
  state: z.enum(TERMINAL_JOB_STATES).exclude(['completed']),
  fence: z.number(),
  queue: z.string(),
  containerId: z.string(),
  /** All that it created, as JSON, when they were several. */
  containerIds: z.string().optional(),
  /** `JobError` as JSON. */
  error: z.string().optional(),
  /** When it ended, ms since 1970. */
  at: z.number(),
  /** How many attempts it made. */
  attemptsMade: z.number(),
});

/** The cancel script's answer, as JSON. The containers that the job creates are stopping then. */
export const CancelVerdict = z.discriminatedUnion('verdict', [
  z.object({ verdict: z.literal('not_found') }),
  z.object({ verdict: z.literal('ended'), state: z.string() }),
  /** A job of a kind that can not be cancelled. */
  z.object({ verdict: z.literal('uncancellable') }),
  ChangedRecords.extend({ verdict: z.literal('cancelled') }),
]);
export type CancelVerdict = z.infer<typeof CancelVerdict>;

/** The KEYS of the cancel script, in its order. */
export const cancelKeys = (userId: string, jobId: string): string[] => [
  keys.job(userId, jobId),
  keys.openJobs(userId),
  keys.changes(userId),
  keys.input(userId, jobId),
];
