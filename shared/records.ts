import { keys } from './keys.ts';
import type { LimitScope } from './limits.ts';
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

/** What the submit script is told, as JSON in ARGV[1]. Times in ms unless named otherwise. */
export type SubmitRequest = {
  /** Unique to this request, see the limiter. */
  nonce: string;
  /** One a KEYS scope: tiers as [limit, window in µs]. */
  scopes: { tiers: [number, number][] }[];
  /** SHA-256 of the body, when the caller sent an `Idempotency-Key`. */
  bodyHash?: string;
  userId: string;
  job: { id: string; kind: string; requestId: string };
  openTtlMs: number;
  reservationMs: number;
  /** How long the new records, and the idempotency key, are kept until the submission is confirmed. */
  unconfirmedTtlMs: { record: number; key: number };
} & (
  | {
      action: 'start';
      queue: QueueName;
      container: Record<string, string>;
      quotas: { jobs: number; desktops: number };
    }
  | { action: 'stop'; queue: QueueName; containerId: string }
);

/** What it answers, after the limiter's decision. */
export type SubmitVerdict =
  | { verdict: 'denied' | 'mismatch' | 'not_found' }
  | { verdict: 'ended'; state: string }
  | { verdict: 'quota'; name: string; limit: number; used: number }
  /** `state` is that of the job's record: while `queued`, adding it to `queue` again is safe and needed. */
  | {
      verdict: 'accepted' | 'replayed';
      jobId: string;
      containerId: string;
      queue: string;
      state: string;
      run: number;
      /** When the job was created, ms of Redis. */
      createdAt: number;
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
];
