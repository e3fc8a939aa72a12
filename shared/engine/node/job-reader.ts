import { keys } from '../keys.ts';
import { readInput } from '../ledger/reads.ts';
import type { JobRef } from '../refs.ts';
import { type EndedRun, endedRuns } from './ended-runs.ts';
import { type RunStatus, STATUS_FIELDS, statusFromRecord } from './run-status.ts';
import type { RecordStore } from './store.ts';

/** What the record of a job holds for its webhooks. */
export type WebhookSource = { url: string; result: string | undefined; labels: string | undefined };

/** Reads the records of jobs. Some reads restore a record that Redis has lost from the ledger first. */
export class JobReader {
  protected readonly store: RecordStore;

  constructor(store: RecordStore) {
    this.store = store;
  }

  /**
   * The runs of a job that have ended, as far as they are remembered; `undefined` when it is not known (any
   * more).
   */
  async endedRuns(userId: string, jobId: string): Promise<EndedRun[] | undefined> {
    const read = () => this.store.redis.hgetall(keys.job(userId, jobId));
    let record = await read();
    if (!record.state && (await this.store.recallJob(userId, jobId))) record = await read();
    return record.state ? endedRuns(userId, record) : undefined;
  }

  /** The statuses of jobs that are being processed; `undefined` for one that Redis does not know. */
  async statuses(refs: JobRef[]): Promise<(RunStatus | undefined)[]> {
    const pipeline = this.store.redis.pipeline();
    for (const { userId, jobId } of refs) pipeline.hmget(keys.job(userId, jobId), ...STATUS_FIELDS);
    const answers = (await pipeline.exec()) ?? [];
    return refs.map((_, i) => statusFromRecord(answers[i]?.[1] as (string | null)[] | undefined));
  }

  /** The status of a job; `undefined` when neither Redis nor the ledger knows it. */
  async status(userId: string, jobId: string): Promise<RunStatus | undefined> {
    const read = async () =>
      statusFromRecord(await this.store.redis.hmget(keys.job(userId, jobId), ...STATUS_FIELDS));
    const known = await read();
    return known ?? ((await this.store.recallJob(userId, jobId)) ? read() : undefined);
  }

  /** The job's input, where it is kept apart from the record; `undefined` when it is no longer known. */
  async input({ userId, jobId }: JobRef): Promise<string | undefined> {
    const { redis, ledger } = this.store;
    const known = await redis.get(keys.input(userId, jobId));
    return known ?? (await ledger?.run((db) => readInput(db, userId, jobId)));
  }

  /** The URL of the job's webhook ('' for none), and of the job its result and labels as JSON, if it has any. */
  async webhook({ userId, jobId }: Pick<JobRef, 'userId' | 'jobId'>): Promise<WebhookSource> {
    const read = () => this.store.redis.hmget(keys.job(userId, jobId), 'webhookUrl', 'result', 'labels');
    let found = await read();
    if (typeof found[0] !== 'string' && (await this.store.recallJob(userId, jobId))) found = await read();
    const [url, result, labels] = found;
    return { url: url ?? '', result: result ?? undefined, labels: labels || undefined };
  }

  /** The latest run's priority in its queue; 0 when it is not known. */
  async priority({ userId, jobId }: JobRef): Promise<number> {
    return Number((await this.store.redis.hget(keys.job(userId, jobId), 'priority')) ?? 0);
  }

  /** When work on the latest run first began, ms; now when it is not known. */
  async startedAt({ userId, jobId }: JobRef): Promise<number> {
    return Number((await this.store.redis.hget(keys.job(userId, jobId), 'startedAt')) ?? Date.now());
  }
}
