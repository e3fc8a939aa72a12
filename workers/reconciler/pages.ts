import { readUserKey, userKeyPattern } from '@warmwind/shared/engine/keys';
import type { Db } from '@warmwind/shared/engine/ledger/db';
import type { Fields } from '@warmwind/shared/engine/ledger/rows';
import { isRecordFault } from '@warmwind/shared/engine/node/record-fault';
import type { ReconcileContext } from './context.ts';

/** The number of rows, records or queue entries per page. */
export const PAGE = 200;

type Cursor = { createdAt: Date; id: string };
type ReadOpen<R> = (db: Db, until: Date, after: Cursor | undefined, limit: number) => Promise<R[]>;

/** Yields all open rows that are old enough, the oldest first, a page at a time. */
export async function* openRows<R extends Cursor>(
  { ledger, until, signal }: ReconcileContext,
  read: ReadOpen<R>,
): AsyncGenerator<R[]> {
  let after: Cursor | undefined;
  while (!signal.aborted) {
    const rows = await ledger.run((db) => read(db, new Date(until), after, PAGE));
    if (rows.length > 0) yield rows;
    if (rows.length < PAGE) return;
    after = rows.at(-1);
  }
}

/**
 * Yields the keys that match `pattern`, a page at a time. A key that changes meanwhile may be missed or
 * repeated.
 */
export async function* scan({ redis, signal }: ReconcileContext, pattern: string): AsyncGenerator<string[]> {
  let cursor = '0';
  do {
    const [next, names] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE);
    cursor = next;
    if (names.length > 0) yield names;
  } while (cursor !== '0' && !signal.aborted);
}

/** Yields every record of a kind in Redis, with its owner, a page at a time. */
export async function* allRecords(
  context: ReconcileContext,
  kind: 'job' | 'container',
): AsyncGenerator<{ user: string; record: Fields }[]> {
  for await (const names of scan(context, userKeyPattern(kind))) {
    const owned = names.flatMap((name) => {
      const key = readUserKey(name);
      return key?.kind === kind ? { name, user: key.user } : [];
    });
    const asked = owned.map(({ name: key, user: userId }) => ({ key, userId }));
    const found = await readRows(context, asked, (user, record) => ({ user, record }));
    yield found.flatMap((record) => record ?? []);
  }
}

/** Reads records and maps them with `make`; `undefined` for one that is missing or unreadable. */
export async function readRows<R>(
  context: Pick<ReconcileContext, 'redis' | 'skip'>,
  records: { key: string; userId: string }[],
  make: (userId: string, record: Fields) => R,
): Promise<(R | undefined)[]> {
  const pipeline = context.redis.pipeline();
  for (const { key } of records) pipeline.hgetall(key);
  const names = records.map(({ key }) => key);
  const found = await answersApart<Fields>(context, names, pipeline.exec());
  return records.map((asked, i) => {
    const record = found[i];
    return record?.state ? readable(context, [asked], ({ userId }) => make(userId, record))[0] : undefined;
  });
}

/** Maps items with `make`; items for which it throws are skipped. */
export function readable<T extends object, R>(
  { skip }: Pick<ReconcileContext, 'skip'>,
  items: T[],
  make: (item: T) => R,
): R[] {
  return items.flatMap((item) => {
    try {
      return make(item);
    } catch (error) {
      skip(error, item);
      return [];
    }
  });
}

/** Returns the answers of a pipeline. @throws the first answer that is an error */
export async function answers<T>(reply: Promise<[Error | null, unknown][] | null>): Promise<T[]> {
  return ((await reply) ?? []).map(([error, answer]) => {
    if (error) throw error;
    return answer as T;
  });
}

/**
 * Returns the answers of a pipeline, one for each key; `undefined` for an unreadable key.
 * @throws any other error
 */
export async function answersApart<T>(
  { skip }: Pick<ReconcileContext, 'skip'>,
  names: string[],
  reply: Promise<[Error | null, unknown][] | null>,
): Promise<(T | undefined)[]> {
  const answered = (await reply) ?? [];
  return names.map((key, i) => {
    const [error, answer] = answered[i] ?? [];
    if (!error) return answer as T;
    if (!isRecordFault(error)) throw error;
    skip(error, { key });
    return undefined;
  });
}
