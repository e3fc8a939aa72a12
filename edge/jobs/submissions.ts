import type { Redis } from '@upstash/redis/cloudflare';
import { newId } from '@warmwind/shared/ids';
import type { JobKind } from '@warmwind/shared/jobs';
import type { LimitScope, Quotas } from '@warmwind/shared/limits';
import { submitScript } from '@warmwind/shared/lua/submit.lua';
import { bullJobId, JOB_DATA_VERSION, JOB_OPTIONS, type QueueName } from '@warmwind/shared/queues';
import {
  ENDED_RECORD_TTL_MS,
  OPEN_RECORD_TTL_MS,
  OUTSTANDING_MS,
  type SubmitRequest,
  type SubmitVerdict,
  submitKeys,
} from '@warmwind/shared/records';
import { type Decision, type RawDecision, readDecision, scopesForLua } from '../limits/decision.ts';
import type { Limiter } from '../limits/limiter.ts';
import type { Queues } from '../queue/queues.ts';
import { type RunScript, scriptOf } from '../redis/redis.ts';
import type { Idempotency } from './idempotency.ts';

/** A job that someone asks for. */
export type Submission = {
  userId: string;
  requestId: string;
  kind: JobKind;
  queue: QueueName;
  scopes: LimitScope[];
  idempotency: Idempotency | undefined;
} & (
  | { action: 'start'; container: Record<string, string> & { id: string }; quotas: Quotas }
  | { action: 'stop'; containerId: string }
);

/** The way from a request to a job in the queue, in two trips: one script decides and records, one call adds. */
export class Submissions {
  readonly #limiter: Limiter;
  readonly #queues: Queues;
  readonly #decide: RunScript;

  constructor(redis: Redis, limiter: Limiter, queues: Queues) {
    this.#decide = scriptOf(redis, submitScript);
    this.#limiter = limiter;
    this.#queues = queues;
  }

  /** Tiers, idempotency, quotas and records, in one atomic step. Throws when Redis does not answer in time. */
  async decide(submission: Submission): Promise<{ decision: Decision; verdict: SubmitVerdict }> {
    const { userId, idempotency } = submission;
    const scopes = this.#limiter.scopes(submission.scopes);
    const jobId = newId();
    const containerId = submission.action === 'start' ? submission.container.id : submission.containerId;
    const request: SubmitRequest = {
      nonce: newId(),
      scopes: scopesForLua(scopes),
      ...(idempotency ? { bodyHash: idempotency.requestHash } : {}),
      userId,
      job: { id: jobId, kind: submission.kind, requestId: submission.requestId },
      openTtlMs: OPEN_RECORD_TTL_MS,
      endedTtlMs: ENDED_RECORD_TTL_MS,
      outstandingMs: OUTSTANDING_MS,
      queue: submission.queue,
      ...(submission.action === 'start'
        ? { action: 'start', container: submission.container, quotas: submission.quotas }
        : { action: 'stop', containerId }),
    };
    const names = submitKeys(userId, submission.scopes, {
      jobId,
      containerId,
      idempotencyHash: idempotency?.keyHash,
    });
    const answer = await this.#decide(names, [JSON.stringify(request)]);
    const [raw, verdict] = answer as [RawDecision, string];
    return { decision: readDecision(raw, scopes), verdict: JSON.parse(verdict) as SubmitVerdict };
  }

  /**
   * Puts an accepted job into its queue. Adding the same run again changes nothing while BullMQ still knows it, so a
   * replay repeats this as long as no worker has taken the job. Throws when the queue does not answer in time.
   */
  async enqueue({ userId, requestId, kind }: Submission, job: AcceptedJob): Promise<void> {
    if (job.state !== 'queued') return;
    const { jobId, containerId, run } = job;
    await this.#queues
      .get(job.queue)
      .add(
        kind,
        { version: JOB_DATA_VERSION, kind, userId, jobId, run, containerId, requestId },
        { ...JOB_OPTIONS, jobId: bullJobId(jobId, run) },
      );
  }
}

/** What the script says of a job it accepted, now or before. */
export type AcceptedJob = Extract<SubmitVerdict, { verdict: 'accepted' | 'replayed' }>;
