import { z } from '@hono/zod-openapi';
import type { Redis } from '@upstash/redis/cloudflare';
import { listScript } from '@warmwind/shared/lua/list.lua';
import { badRequest } from '../http/errors.ts';
import { needed, toRecord } from './record.ts';
import { scriptOf } from './redis.ts';

/** Entries of an index that one page looks at, at most: a page may be short and still have a successor. */
const MAX_SCAN = 1000;

/** The query of every list. */
export const PageQuery = z.object({
  cursor: z.string().max(200).optional().describe('`nextCursor` of the page before.'),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});

export type PageRequest = {
  /** The sorted set that names the records, and what its members stand behind in a record's key. */
  index: string;
  prefix: string;
  limit: number;
  cursor: string | undefined;
  /** Fields and the values they must have; what is undefined does not matter. */
  where: Record<string, string | undefined>;
};

/** A reader of pages: newest first, one trip each. */
export function createPager(redis: Redis) {
  const run = scriptOf(redis, listScript);
  return async ({ index, prefix, limit, cursor, where }: PageRequest) => {
    const [time, id] = cursor === undefined ? ['+inf', ''] : readCursor(cursor);
    const wanted = Object.entries(where).flatMap(([field, value]) =>
      value === undefined ? [] : [field, value],
    );
    const answer = run([index], [prefix, `${limit}`, `${MAX_SCAN}`, time, id, ...wanted]);
    const [nextTime, nextId, records] = (await needed(answer)) as [string, string, string[][]];
    return {
      records: records.map(toRecord),
      nextCursor: nextTime === '' ? null : writeCursor(nextTime, nextId),
    };
  };
}

const writeCursor = (time: string, id: string): string =>
  btoa(`${time}:${id}`).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

function readCursor(cursor: string): [time: string, id: string] {
  const invalid = () => badRequest([{ path: 'cursor', message: 'use the nextCursor of an answer as it is' }]);
  if (!/^[A-Za-z0-9_-]+$/.test(cursor)) throw invalid();
  let text: string;
  try {
    text = atob(cursor.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    throw invalid();
  }
  const [, time, id] = /^(\d{1,16}):([A-Za-z0-9_-]{1,64})$/.exec(text) ?? [];
  if (time === undefined || id === undefined) throw invalid();
  return [time, id];
}
