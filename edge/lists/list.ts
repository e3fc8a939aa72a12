import type { Db } from '@warmwind/shared/engine/ledger/db';
import type { Page as LedgerPage } from '@warmwind/shared/engine/ledger/reads';
import type { Fields } from '@warmwind/shared/engine/ledger/rows';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import type { Services } from '../services.ts';
import { writeCursor } from './cursor.ts';
import { mergePages, type Page } from './merge.ts';
import { type Listed, newestFirst, positionOf } from './position.ts';
import type { PageRequest } from './query.ts';
import { createRecordPages, type FieldFilters, matches, readRecords, type Where } from './records.ts';

/** A kind of entry to list: where its records and rows are, and how its owner sees them. */
export type Source<T, F extends FieldFilters> = {
  index: (user: string) => string;
  key: (user: string, id: string) => string;
  fromRecord: (record: Fields) => T | undefined;
  fromLedger: (db: Db, page: LedgerPage, where: Where<F>) => Promise<T[]>;
  hasEnded: (item: T) => boolean;
  /** Whether a row supersedes a record: it has an end that the record lacks. */
  outdates: (row: T, record: T) => boolean;
};

/**
 * Reads lists from two sources in parallel: records hold the exact present, rows hold the complete past.
 * Without history a list is `incomplete`; without records it is the ledger's last state.
 */
export class Lister<T extends Listed, F extends FieldFilters> {
  readonly #redis: Services['redis'];
  readonly #ledger: Services['ledger'];
  readonly #source: Source<T, F>;
  readonly #recordPage: ReturnType<typeof createRecordPages>;

  constructor({ redis, ledger }: Services, source: Source<T, F>) {
    this.#redis = redis;
    this.#ledger = ledger;
    this.#source = source;
    this.#recordPage = createRecordPages(redis);
  }

  /** @throws ApiError `unavailable` when neither source answers */
  async list(c: Context<AppEnv>, request: PageRequest, where: Where<F>) {
    const [recent, history] = await this.#readBoth(c, request, where);
    const pages = [recent, history].flatMap((page) => page ?? []);
    if (pages.length === 0) throw unavailable('The state of jobs and desktops can not be read now: retry.');
    const { items, next } = mergePages(pages, request.limit, (record, row) =>
      this.#source.outdates(row, record) ? row : record,
    );
    return {
      items,
      nextCursor: next ? writeCursor(next) : null,
      ...(this.#ledger && !history ? { incomplete: true as const } : {}),
    };
  }

  /** The pages of records and of rows, each `undefined` when its source does not answer. */
  async #readBoth(
    c: Context<AppEnv>,
    request: PageRequest,
    where: Where<F>,
  ): Promise<[recent: Page<T> | undefined, history: Page<T> | undefined]> {
    const user = c.get('user').id;
    const ledger = this.#ledger;
    const readRows = (db: Db) => this.#readRows(db, user, request, where);
    const [recent, history] = await Promise.all([
      orWithout(c, 'redis', this.#readRecords(user, request, where)),
      ledger && orWithout(c, 'the ledger', ledger.read(c, readRows)),
    ]);
    if (ledger?.hasReplica && !recent) {
      // A replica may lack the newest rows, and there are no records to fill the gap.
      return [recent, await orWithout(c, 'the ledger', ledger.run(c, readRows))];
    }
    if (!recent || !history) return [recent, history];
    const refreshed = await orWithout(c, 'redis', this.#refresh(user, history, { recent, where }));
    return [recent, refreshed ?? history];
  }

  async #readRecords(user: string, request: PageRequest, where: Where<F>): Promise<Page<T>> {
    const source = this.#source;
    const place = { index: source.index(user), prefix: source.key(user, '') };
    const { items, horizon } = await this.#recordPage(place, request, where);
    return { items: items.flatMap((record) => source.fromRecord(record) ?? []), horizon };
  }

  async #readRows(db: Db, user: string, request: PageRequest, where: Where<F>): Promise<Page<T>> {
    const { limit, since, until, before } = request;
    const page: LedgerPage = {
      userId: user,
      since: since === undefined ? undefined : new Date(since),
      until: until === undefined ? undefined : new Date(until),
      before: before && { createdAt: new Date(before.time), id: before.id },
      // One more than requested, to know whether more follow.
      limit: limit + 1,
    };
    const items = await this.#source.fromLedger(db, page, where);
    const last = items.at(-1);
    return { items, horizon: last && items.length > limit ? positionOf(last) : undefined };
  }

  /**
   * Open rows may lag behind their records, which did not match the filters or are beyond the index. Each is
   * looked up and listed as its record is, or as the row is when there is no record.
   */
  async #refresh(
    user: string,
    history: Page<T>,
    { recent, where }: { recent: Page<T>; where: Where<F> },
  ): Promise<Page<T>> {
    const source = this.#source;
    const listed = new Set(recent.items.map(({ id }) => id));
    const { horizon } = recent;
    const items = history.items.filter((item) => !horizon || newestFirst(positionOf(item), horizon) <= 0);
    const open = items.filter((item) => !source.hasEnded(item) && !listed.has(item.id));
    if (open.length === 0) return { ...history, items };
    const records = await readRecords(
      this.#redis,
      open.map(({ id }) => source.key(user, id)),
    );
    const found = new Map(open.map(({ id }, i) => [id, records[i] ?? {}]));
    const refreshed = items.flatMap((item) => {
      const record = found.get(item.id);
      const live = record && source.fromRecord(record);
      if (!record || !live) return [item];
      return matches(record, where) ? [live] : [];
    });
    return { ...history, items: refreshed };
  }
}

async function orWithout<T>(c: Context<AppEnv>, source: string, answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    log.warn(`${source} did not answer`, { requestId: c.get('requestId'), ...failureOf(error) });
    return undefined;
  }
}
