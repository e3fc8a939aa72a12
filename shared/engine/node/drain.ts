import type { Redis } from 'ioredis';
import { z } from 'zod';
import { parseJson } from '../../runtime/json.ts';
import type { Logger } from '../../runtime/node/log.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys } from '../keys.ts';
import { type ContainerChange, type JobChange, recordChanges } from '../ledger/changes.ts';
import { containersById, jobsById } from '../ledger/reads.ts';
import { restoreContainer, restoreJob, WHATEVER } from '../ledger/restore.ts';
import { type ContainerRow, containerRow, Fields, type JobRow, jobRow } from '../ledger/rows.ts';
import { defineScript } from '../script.ts';
import { restoreRecord } from '../scripts/restore.lua.ts';
import { type Ledger, LedgerRefusalError } from './ledger.ts';
import { isRecordFault } from './record-fault.ts';

/** Users whose changes are moved in one pass, and changes of each. */
const USERS = 50;
const CHANGES = 100;

/** Unmarks a user unless a change was marked since. KEYS: changed users. ARGV: user, mark. */
const unmarkUser = defineScript({
  lua: `if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end return 0`,
  keys: () => [keys.changedUsers()],
  args: z.object({ user: z.string(), mark: z.string() }),
  answer: z.number(),
});

type Taken = { user: string; mark: string; ids: string[]; changes: Change[]; all: boolean };
type Change = { job: JobChange } | { container: ContainerChange };

export type DrainOptions = {
  /** The queue Redis. */
  redis: Redis;
  ledger: Ledger;
  log: Logger;
  /** Called for each change that the ledger refuses as data. */
  onDropped?: () => void;
  /** Called with a record that can't be read: it is left to the reconciler, and the drain continues. */
  skip?: (error: unknown, record: object) => void;
};

/**
 * Moves changes from Redis into the ledger. A change leaves Redis after the ledger has it, and counts once
 * however often it is moved, so two concurrent drains do no harm.
 */
export class Drain {
  readonly #o: DrainOptions;

  constructor(options: DrainOptions) {
    this.#o = options;
  }

  /**
   * Moves the next changes; all stay in Redis when it rejects.
   * @returns how many changes were moved; more may wait
   * @throws LedgerUnavailableError when the ledger does not answer in time
   */
  async once(): Promise<number> {
    const taken = await this.#take();
    const changes = taken.flatMap((user) => user.changes);
    if (changes.length > 0) await this.#record(changes);
    const { redis } = this.#o;
    await Promise.all(
      taken.map(async ({ user, mark, ids, all }) => {
        if (ids.length > 0) await redis.xdel(keys.changes(user), ...ids);
        if (all) await runScript(redis, unmarkUser, undefined, { user, mark });
      }),
    );
    return changes.length;
  }

  async #take(): Promise<Taken[]> {
    const { redis } = this.#o;
    const marked = await redis.zrange(keys.changedUsers(), '0', `${USERS - 1}`, 'WITHSCORES');
    const users = Array.from({ length: marked.length / 2 }, (_, i) => ({
      user: marked[2 * i] ?? '',
      mark: marked[2 * i + 1] ?? '',
    }));
    return Promise.all(
      users.map(async ({ user, mark }) => {
        const entries =
          (await this.#apart({ userId: user }, () =>
            redis.xrange(keys.changes(user), '-', '+', 'COUNT', CHANGES),
          )) ?? [];
        const changes = entries.flatMap(([id, fields]) => this.#parse(user, id, fields) ?? []);
        return { user, mark, ids: entries.map(([id]) => id), changes, all: entries.length < CHANGES };
      }),
    );
  }

  #parse(user: string, seq: string, flat: string[]): Change | undefined {
    const entry: Fields = {};
    for (let i = 0; i + 1 < flat.length; i += 2) entry[flat[i] ?? ''] = flat[i + 1] ?? '';
    try {
      const at = new Date(Number(entry.t));
      const record = parseJson(Fields, entry.r ?? '');
      return entry.k === 'job'
        ? { job: { seq, at, job: jobRow(user, record) } }
        : { container: { seq, at, container: containerRow(user, record) } };
    } catch (error) {
      this.#drop(error);
      return undefined;
    }
  }

  async #record(changes: Change[]): Promise<void> {
    try {
      await this.#write(changes);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (changes.length === 1) return this.#drop(error);
      // One of them is malformed: the others must not wait for it.
      for (const change of changes) await this.#record([change]);
    }
  }

  async #write(changes: Change[]): Promise<void> {
    const jobs = changes.flatMap((change) => ('job' in change ? [change.job] : []));
    const containers = changes.flatMap((change) => ('container' in change ? [change.container] : []));
    const { ledger } = this.#o;
    if (containers.length > 0) await this.#withSpecs(containers);
    const refused = await ledger.run((db) => recordChanges(db, { jobs, containers }));
    if (refused.jobs.length + refused.containers.length > 0) await this.#correct(refused);
  }

  /**
   * Corrects the records of a Redis that lost an end and then recorded another: the first end, which the
   * ledger has, is restored.
   */
  async #correct(refused: { jobs: JobRow[]; containers: ContainerRow[] }): Promise<void> {
    const { ledger, redis } = this.#o;
    const ids = (rows: { id: string }[]) => rows.map(({ id }) => id);
    const [jobs, containers] = await ledger.run((db) =>
      Promise.all([jobsById(db, ids(refused.jobs)), containersById(db, ids(refused.containers))]),
    );
    const now = Date.now();
    const corrections = [
      ...refused.jobs.flatMap((refusedChange) => {
        const row = jobs.find(({ id }) => id === refusedChange.id);
        const differs = row?.finishedAt && row.run === refusedChange.run && row.state !== refusedChange.state;
        return differs ? restoreJob(row, now, WHATEVER) : [];
      }),
      ...refused.containers.flatMap((refusedChange) => {
        const row = containers.find(({ id }) => id === refusedChange.id);
        return row?.endedAt && row.state !== refusedChange.state ? restoreContainer(row, now, WHATEVER) : [];
      }),
    ];
    for (const { of, args, fields } of corrections) {
      await this.#apart({ key: of.record }, () => runScript(redis, restoreRecord, of, args, fields));
    }
  }

  /** Adds specs from the records to the changes that will create rows, as changes do not carry them. */
  async #withSpecs(changes: ContainerChange[]): Promise<void> {
    const { ledger, redis } = this.#o;
    const ids = [...new Set(changes.map(({ container }) => container.id))];
    const known = new Set((await ledger.run((db) => containersById(db, ids))).map(({ id }) => id));
    for (const { container } of changes) {
      if (known.has(container.id) || container.endedAt) continue;
      const { userId, id } = container;
      await this.#apart({ userId, id }, async () => {
        const spec = await redis.hget(keys.container(userId, id), 'spec');
        if (spec) container.spec = parseJson(z.unknown(), spec);
      });
    }
  }

  /**
   * Runs work on one record.
   * @returns `undefined` when the record itself is malformed
   */
  async #apart<T>(record: object, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!isRecordFault(error)) throw error;
      this.#o.skip?.(error, record);
      return undefined;
    }
  }

  #drop(error: unknown): void {
    this.#o.log.error({ err: error }, 'change dropped: the ledger refuses it');
    this.#o.onDropped?.();
  }
}

/** Will PostgreSQL never accept this data? */
const isRefusal = (error: unknown): boolean =>
  (error instanceof LedgerRefusalError && /^(22|23)/.test(error.code)) ||
  error instanceof TypeError ||
  error instanceof RangeError;
