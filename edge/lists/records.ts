import type { Redis } from '@upstash/redis/cloudflare';
import { Labels } from '@warmwind/shared/contract/labels';
import type { Fields } from '@warmwind/shared/engine/ledger/rows';
import { LABEL_PREFIX, listRecords } from '@warmwind/shared/engine/scripts/list.lua';
import { parseJson } from '@warmwind/shared/runtime/json';
import { toRecord } from '../redis/record.ts';
import { prepareScript } from '../redis/redis.ts';
import type { Page } from './merge.ts';
import type { PageRequest } from './query.ts';

/** The most index entries that one page scans: a page may be short and still have a successor. */
const MAX_SCAN = 1000;

/** The filters of a list: fields of a record with their required values, and labels that it must have. */
export type Where<F extends FieldFilters = FieldFilters> = { fields: F; labels: Labels };
/** An undefined value matches everything. */
export type FieldFilters = Record<string, string | undefined>;

export function matches(record: Fields, { fields, labels }: Where): boolean {
  if (!Object.entries(fields).every(([field, value]) => value === undefined || record[field] === value)) {
    return false;
  }
  const wanted = Object.entries(labels);
  if (wanted.length === 0) return true;
  const own = record.labels ? parseJson(Labels, record.labels) : {};
  return wanted.every(([key, value]) => own[key] === value);
}

/**
 * Creates a reader of pages of records, one trip each. The members of the sorted set `index` are the keys of
 * the records without `prefix`.
 */
export function createRecordPages(redis: Redis) {
  const run = prepareScript(redis, listRecords);
  return async (
    { index, prefix }: { index: string; prefix: string },
    { limit, since, until, before }: PageRequest,
    where: Where,
  ): Promise<Page<Fields>> => {
    const after = before && (until === undefined || before.time < until) ? before : undefined;
    const newest = after ? `${after.time}` : until === undefined ? '+inf' : `(${until}`;
    const oldest = since === undefined ? '-inf' : `${since}`;
    const labels = Object.entries(where.labels).map(([key, value]) => [`${LABEL_PREFIX}${key}`, value]);
    const wanted = [...Object.entries(where.fields), ...labels].flatMap(([field = '', value]) =>
      value === undefined ? [] : [field, value],
    );
    const args = { prefix, limit, scan: MAX_SCAN, oldest, newest, after: after?.id ?? '' };
    const [time, id, records] = await run({ index }, args, wanted);
    return {
      items: records.map(toRecord),
      horizon: time === '' ? undefined : { time: Number(time), id },
    };
  };
}

/** Reads the records of `keys` in one trip; a record that does not exist is empty. */
export async function readRecords(redis: Redis, keys: string[]): Promise<Fields[]> {
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.hgetall(key);
  return (await pipeline.exec<(string[] | null)[]>()).map((flat) => toRecord(flat ?? []));
}
