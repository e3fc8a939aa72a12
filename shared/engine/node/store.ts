import type { Redis } from 'ioredis';
import { runScript } from '../../runtime/node/script.ts';
import { keys } from '../keys.ts';
import { readContainer, readJob } from '../ledger/reads.ts';
import { type Restore, restoreContainer, restoreJob } from '../ledger/restore.ts';
import type { ContainerRow, JobRow } from '../ledger/rows.ts';
import { MAX_CHANGES } from '../records.ts';
import type { ContainerRef } from '../refs.ts';
import type { Script } from '../script.ts';
import { restoreRecord } from '../scripts/restore.lua.ts';
import type { Ledger } from './ledger.ts';
import { moveOldKey } from './old-keys.ts';
import { isRecordFault } from './record-fault.ts';

/**
 * The records in the queue Redis, and the ledger behind it, from which a lost record is restored. A row may
 * be older than the record that Redis lost: one that was open when it was read is read again after the
 * restore.
 */
export class RecordStore {
  readonly redis: Redis;
  readonly ledger: Ledger | undefined;
  /** Bound of a user's changes, as the scripts take it: '' when there is no ledger. */
  readonly maxChanges: number | '';

  constructor(redis: Redis, ledger: Ledger | undefined) {
    this.redis = redis;
    this.ledger = ledger;
    this.maxChanges = ledger ? MAX_CHANGES : '';
  }

  /** Runs a script that may change a record of this user, and marks the user for the drain. */
  async change<Subject, Args, Answer extends [string, ...unknown[]]>(
    user: string,
    ...call: [script: Script<Subject, Args, Answer>, subject: Subject, args: Args, rest?: (string | number)[]]
  ): Promise<Answer> {
    const answer = await runScript(this.redis, ...call);
    if (this.ledger && answer[0] === 'ok') this.mark(user);
    return answer;
  }

  /**
   * The set of containers of a host. A user of an earlier release may have a key of that name: it is moved
   * first.
   */
  async ofHost<T>(host: string, work: (key: string) => Promise<T>): Promise<T> {
    const key = keys.hostContainers(host);
    try {
      return await work(key);
    } catch (error) {
      if (!isRecordFault(error) || !(await moveOldKey(this.redis, key))) throw error;
      return work(key);
    }
  }

  /**
   * Marks a user for the drain. If the mark is lost, the user's next change or the reconciler makes up for
   * it.
   */
  mark(user: string): void {
    this.redis.zincrby(keys.changedUsers(), 1, user).catch(() => undefined);
  }

  /**
   * Restores a job's record from the ledger.
   * @returns false when there is none
   * @throws LedgerUnavailableError when the ledger does not answer in time
   */
  async recallJob(user: string, id: string): Promise<boolean> {
    const row = await this.ledger?.run((db) => readJob(db, user, id));
    if (row) await this.restoreJob(row);
    return row !== undefined;
  }

  async recallContainer({ userId, containerId }: ContainerRef): Promise<ContainerRow | undefined> {
    const row = await this.ledger?.run((db) => readContainer(db, userId, containerId));
    if (row) await this.restoreContainer(row);
    return row;
  }

  /** @returns whether it was restored */
  async restoreJob(row: JobRow): Promise<boolean> {
    const restored = await this.#restore(restoreJob(row, Date.now()));
    if (restored && !row.finishedAt) {
      const now = await this.ledger?.run((db) => readJob(db, row.userId, row.id));
      if (now?.finishedAt) await this.#restore(restoreJob(now, Date.now(), now.fence + 1));
    }
    return restored;
  }

  /** @param below a record with a fence below this one is overwritten */
  async restoreContainer(row: ContainerRow, below?: number): Promise<boolean> {
    if (row.host && !row.endedAt) {
      await this.ofHost(row.host, (key) => this.redis.sadd(key, `${row.userId}/${row.id}`));
      await this.redis.zadd(keys.hosts(), 'NX', Date.now(), row.host);
    }
    const restored = await this.#restore(restoreContainer(row, Date.now(), below));
    if (restored && !row.endedAt) {
      const now = await this.ledger?.run((db) => readContainer(db, row.userId, row.id));
      if (now?.endedAt) await this.#restore(restoreContainer(now, Date.now(), now.fence + 1));
    }
    return restored;
  }

  async #restore({ of, args, fields }: Restore): Promise<boolean> {
    const [verdict] = await runScript(this.redis, restoreRecord, of, args, fields);
    return verdict === 'restored';
  }
}
