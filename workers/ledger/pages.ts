import { keys } from '@warmwind/shared/keys';
import type { Db } from '@warmwind/shared/ledger/db';
import type { Fields } from '@warmwind/shared/ledger/rows';
import type { Redis } from 'ioredis';
import type { Pass } from './reconcile.ts';

/** Rows, records or queue entries looked at in one go. */
export const PAGE = 200;

type Cursor = { createdAt: Date; id: string };
type ReadOpen<R> = (db: Db, until: Date, after: Cursor | undefined, limit: number) => Promise<R[]>;

/** All open rows that are old enough, the oldest first, a page at a time. */
export async function* openRows<R extends Cursor>(
  { ledger, until, signal }: Pass,
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

/** The keys that look like `pattern`, a page at a time. What comes or goes meanwhile may be missed, or seen twice. */
export async function* scan({ redis, signal }: Pass, pattern: string): AsyncGenerator<string[]> {
  let cursor = '0';
  do {
    const [next, names] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE);
    cursor = next;
    if (names.length > 0) yield names;
  } while (cursor !== '0' && !signal.aborted);
}

/** A record's key: its owner, and what it is. */
const RECORD = /^ww:\{([^{}]+)\}:(job|container):[^:]+$/;

/** Every record of a kind that Redis has, with its owner, a page at a time. */
export async function* allRecords(
  pass: Pass,
  kind: 'job' | 'container',
): AsyncGenerator<{ user: string; record: Fields }[]> {
  for await (const names of scan(pass, keys[kind]('*', '*'))) {
    const owned = names.flatMap((name) => {
      const [, user, what] = RECORD.exec(name) ?? [];
      return user && what === kind ? { name, user } : [];
    });
    const records = await readRecords(
      pass.redis,
      owned.map(({ name }) => name),
    );
    yield owned.flatMap(({ user }, i) => (records[i] ? { user, record: records[i] } : []));
  }
}

/** Whole records by their keys; `undefined` where there is none. */
export async function readRecords(redis: Redis, names: string[]): Promise<(Fields | undefined)[]> {
  const pipeline = redis.pipeline();
  for (const name of names) pipeline.hgetall(name);
  return (await answers<Fields>(pipeline.exec())).map((record) => (record.state ? record : undefined));
}

/** A pipeline's answers; rejects with the first that is an error. */
export async function answers<T>(reply: Promise<[Error | null, unknown][] | null>): Promise<T[]> {
  return ((await reply) ?? []).map(([error, answer]) => {
    if (error) throw error;
    return answer as T;
  });
}
