import type { Db } from '@warmwind/shared/ledger/db';
import type { Page as LedgerPage } from '@warmwind/shared/ledger/reads';
import type { Fields } from '@warmwind/shared/ledger/rows';
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
import { createRecordPages, matches, readRecords, type Where } from './records.ts';

/** What is listed: where its records and rows are, and how they look to their owner. */
export type Source<T, W extends Where> = {
  index: (user: string) => string;
  key: (user: string, id: string) => string;
  fromRecord: (record: Fields) => T | undefined;
  fromLedger: (db: Db, page: LedgerPage, where: W) => Promise<T[]>;
  hasEnded: (item: T) => boolean;
  /** Does a row know more than a record: an end that the record lacks. */
  outdates: (row: T, record: T) => boolean;
};

/**
 * A reader of lists from two sources, asked side by side: records are the present and exact, rows are all of the past.
 * Without history the list is `incomplete`; without records it is as the ledger last knew.
 */
export function createLister<T extends Listed, W extends Where>(
  { redis, ledger }: Services,
  source: Source<T, W>,
) {
  const recordPage = createRecordPages(redis);

  const readRecent = async (user: string, request: PageRequest, where: W): Promise<Page<T>> => {
    const place = { index: source.index(user), prefix: source.key(user, '') };
    const { items, horizon } = await recordPage(place, request, where);
    return { items: items.flatMap((record) => source.fromRecord(record) ?? []), horizon };
  };

  const readHistory =
    (user: string, { limit, since, until, before }: PageRequest, where: W) =>
    async (db: Db): Promise<Page<T>> => {
      const page: LedgerPage = {
        userId: user,
        since: since === undefined ? undefined : new Date(since),
        until: until === undefined ? undefined : new Date(until),
        before: before && { createdAt: new Date(before.time), id: before.id },
        // One more than asked for, to know whether there are more.
        limit: limit + 1,
      };
      const items = await source.fromLedger(db, page, where);
      const last = items.at(-1);
      return { items, horizon: last && items.length > limit ? positionOf(last) : undefined };
    };

  /**
   * Rows that are open may be behind their records, which then did not match or are beyond the index: each is looked up,
   * and is listed as its record is, or as the row is when there is no record.
   */
  const refresh = async (user: string, history: Page<T>, recent: Page<T>, where: W): Promise<Page<T>> => {
    const listed = new Set(recent.items.map(({ id }) => id));
    const { horizon } = recent;
    const items = history.items.filter((item) => !horizon || newestFirst(positionOf(item), horizon) <= 0);
    const open = items.filter((item) => !source.hasEnded(item) && !listed.has(item.id));
    if (open.length === 0) return { ...history, items };
    const records = await readRecords(
      redis,
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
  };

  return async (c: Context<AppEnv>, request: PageRequest, where: W) => {
    const user = c.get('user').id;
    const orWithout = <R>(what: string, answer: Promise<R>): Promise<R | undefined> =>
      answer.catch((error: unknown) => {
        log.warn(`${what} did not answer`, { requestId: c.get('requestId'), ...failureOf(error) });
        return undefined;
      });
    const inLedger = readHistory(user, request, where);
    const [recent, remembered] = await Promise.all([
      orWithout('redis', readRecent(user, request, where)),
      ledger && orWithout('the ledger', ledger.read(c, inLedger)),
    ]);
    let history = remembered;
    if (ledger?.hasReplica && !recent) {
      // A replica may not know yet what was just made, and there is no record to make up for it.
      history = await orWithout('the ledger', ledger.run(c, inLedger));
    } else if (recent && history) {
      history = (await orWithout('redis', refresh(user, history, recent, where))) ?? history;
    }
    const pages = [recent, history].flatMap((page) => page ?? []);
    if (pages.length === 0) throw unavailable('The state of jobs and desktops can not be read now: retry.');

    const { items, next } = mergePages(pages, request.limit, (record, row) =>
      source.outdates(row, record) ? row : record,
    );
    return {
      items,
      nextCursor: next ? writeCursor(next) : null,
      ...(ledger && !history ? { incomplete: true as const } : {}),
    };
  };
}
