import type { Redis } from '@upstash/redis/cloudflare';
import { newId } from '@warmwind/shared/contract/ids';
import { labelField } from '@warmwind/shared/contract/labels';
import { planOf, SUBMIT_PLANS } from '@warmwind/shared/contract/plan';
import { keys, recordPrefixes } from '@warmwind/shared/engine/keys';
import type { Restore } from '@warmwind/shared/engine/ledger/restore';
import type { RecordedKey } from '@warmwind/shared/engine/ledger/submissions';
import { JOB_DATA_VERSION, runOptions } from '@warmwind/shared/engine/queues';
import {
  type ChangedRecords,
  ENDED_RECORD_TTL_MS,
  MAX_CHANGES,
  MAX_JOB_CONTAINERS,
  OPEN_RECORD_TTL_MS,
  RESERVATION_MS,
  type SubmitRequest,
  type SubmitVerdict,
} from '@warmwind/shared/engine/records';
import { restoreRecord } from '@warmwind/shared/engine/scripts/restore.lua';
import { submitJob } from '@warmwind/shared/engine/scripts/submit.lua';
import { withdrawJob } from '@warmwind/shared/engine/scripts/withdraw.lua';
import { type Decision, readDecision, scopesForLua } from '../limits/decision.ts';
import type { Limiter } from '../limits/limiter.ts';
import type { Queues } from '../queue/queues.ts';
import { type PreparedScript, prepareScript } from '../redis/redis.ts';
import type { Idempotency } from './idempotency.ts';
import type { NewJob, QueuedRun, Retry, Submission } from './submission.ts';

/** From this length on an input takes noticeable time to reach Redis, characters. */
const LARGE_INPUT_CHARS = 32 * 1024;

/** The submissions in Redis. Each method is one trip, and rejects when Redis does not answer in time. */
export class SubmissionStore {
  readonly #redis: Redis;
  readonly #limiter: Limiter;
  readonly #queues: Queues;
  readonly #decide: PreparedScript<typeof submitJob>;
  readonly #decideLarge: PreparedScript<typeof submitJob>;
  readonly #withdraw: PreparedScript<typeof withdrawJob>;
  readonly #restore: PreparedScript<typeof restoreRecord>;

  readonly #unconfirmedTtlMs: SubmitRequest['unconfirmedTtlMs'];
  /** The bound of a user's changes, as the scripts take it; '' without a ledger. */
  readonly #maxChanges: number | '';

  /**
   * @param largeInputRedis a client of the same Redis with a time-out for large inputs
   * @param hasLedger whether the ledger records acknowledged submissions
   */
  constructor(redis: Redis, largeInputRedis: Redis, limiter: Limiter, queues: Queues, hasLedger: boolean) {
    this.#unconfirmedTtlMs = hasLedger
      ? { record: RESERVATION_MS, key: RESERVATION_MS }
      : { record: OPEN_RECORD_TTL_MS, key: ENDED_RECORD_TTL_MS };
    this.#maxChanges = hasLedger ? MAX_CHANGES : '';
    this.#redis = redis;
    this.#decide = prepareScript(redis, submitJob);
    this.#decideLarge = prepareScript(largeInputRedis, submitJob);
    this.#withdraw = prepareScript(redis, withdrawJob);
    this.#restore = prepareScript(redis, restoreRecord);
    this.#limiter = limiter;
    this.#queues = queues;
  }

  /**
   * Checks rate limits, idempotency and quotas, and writes the records, in one atomic step. Without scopes
   * nothing is charged.
   */
  async decide(submission: Submission): Promise<{ decision: Decision; verdict: SubmitVerdict }> {
    const { userId, idempotency, quotas } = submission;
    const scopes = this.#limiter.scopes(submission.scopes);
    const jobId = submission.action === 'retry' ? submission.jobId : newId();
    const request: SubmitRequest = {
      nonce: newId(),
      scopes: scopesForLua(scopes),
      ...(idempotency ? { bodyHash: idempotency.requestHash } : {}),
      userId,
      prefixes: recordPrefixes(userId),
      quotas,
      openTtlMs: OPEN_RECORD_TTL_MS,
      unconfirmedTtlMs: this.#unconfirmedTtlMs,
      reservationMs: RESERVATION_MS,
      ...(submission.action === 'retry' ? this.#retryOf(submission) : newOf(submission, jobId)),
    };
    const subject = { userId, scopes: submission.scopes, jobId, idempotencyHash: idempotency?.keyHash };
    const input = submission.action === 'new' ? submission.input : '';
    const decide = input.length < LARGE_INPUT_CHARS ? this.#decide : this.#decideLarge;
    const askedAt = Date.now();
    const [raw, verdict] = await decide(subject, { request: JSON.stringify(request), input });
    const decision = readDecision(raw);
    this.#limiter.note(userId, submission.scopes, decision, askedAt);
    return { decision, verdict };
  }

  #retryOf({ jobId, requestId }: Retry) {
    return {
      plans: SUBMIT_PLANS,
      job: { id: jobId, requestId },
      newIds: Array.from({ length: MAX_JOB_CONTAINERS }, newId),
      maxChanges: this.#maxChanges,
      keyTtlMs: ENDED_RECORD_TTL_MS,
    };
  }

  /** Puts a run into its queue. Adding the same run again changes nothing while BullMQ still has it. */
  async enqueue({ queue, priority, ...data }: QueuedRun): Promise<void> {
    const options = runOptions({ ...data, priority });
    await this.#queues.get(queue).add(data.kind, { version: JOB_DATA_VERSION, ...data }, options);
  }

  /** Deletes the records of a duplicate and its idempotency key, unless a worker has taken the job. */
  async withdraw({ userId, idempotency }: NewJob, jobId: string, records: ChangedRecords): Promise<void> {
    const subject = { userId, jobId, idempotencyHash: idempotency?.keyHash };
    const createdIds = (records.containers ?? []).flatMap(({ record }) => record.id ?? []);
    await this.#withdraw(subject, { jobId, containerPrefix: recordPrefixes(userId).container }, createdIds);
  }

  /** Deletes a key that belongs to no job. */
  async deleteKey(userId: string, { keyHash }: Idempotency): Promise<void> {
    await this.#redis.del(keys.idempotency(userId, keyHash));
  }

  /** Sets a key as the submit script does. */
  async rememberKey(userId: string, { keyHash, requestHash }: Idempotency, key: RecordedKey): Promise<void> {
    const { jobId, containerId, createdAt } = key;
    const ttlMs = createdAt.getTime() + ENDED_RECORD_TTL_MS - Date.now();
    const value = JSON.stringify({ hash: requestHash, jobId, containerId });
    await this.#redis.set(keys.idempotency(userId, keyHash), value, { px: Math.max(1, ttlMs), nx: true });
  }

  /** Restores a record that Redis has lost. */
  async restore(record: Restore): Promise<void> {
    await this.#restore(record.of, record.args, record.fields);
  }

  /** Restores the input of a job that Redis has lost. */
  async restoreInput(userId: string, jobId: string, input: string): Promise<void> {
    await this.#redis.set(keys.input(userId, jobId), input, { px: OPEN_RECORD_TTL_MS, nx: true });
  }
}

function newOf({ command, lane, requestId, containerId, containers, ...more }: NewJob, id: string) {
  const { webhookUrl, priorityClass, timeoutMs, labels } = more;
  return {
    plan: planOf(command, lane),
    job: { id, kind: command.kind, requestId, webhookUrl, priorityClass, timeoutMs, ...labelField(labels) },
    containerId,
    ...(containers.length > 0 ? { containers } : {}),
  };
}
