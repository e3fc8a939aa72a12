import type { Db } from '@warmwind/shared/engine/ledger/db';
import type { Fields } from '@warmwind/shared/engine/ledger/rows';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import { readRecord } from '../redis/record.ts';
import type { Services } from '../services.ts';

/** One job or desktop: the key and view of its record, and the view of its row. */
type Subject<T> = {
  key: string;
  fromRecord: (record: Fields) => T | undefined;
  fromLedger: (db: Db) => Promise<T | undefined>;
};

/**
 * Reads the record, which is the present state, or else the row in the ledger.
 * @returns `undefined` when there is neither
 * @throws ApiError `unavailable` when one of the two can't be read and the other has nothing
 */
export async function readThrough<T>(
  c: Context<AppEnv>,
  { redis, ledger }: Services,
  { key, fromRecord, fromLedger }: Subject<T>,
): Promise<T | undefined> {
  const record = readRecord(redis, key).then(fromRecord);
  if (!ledger) return record;
  const present = await record.catch((error: Error) => error);
  if (present && !(present instanceof Error)) return present;

  const remembered = await ledger.run(c, fromLedger).catch((error: unknown) => {
    log.warn('the ledger did not answer', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable('The history can not be read now: retry.');
  });
  if (!remembered && present) throw present;
  return remembered;
}
