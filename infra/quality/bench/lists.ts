import type { JobQuery } from '@warmwind/shared/client/http';
import { keys } from '@warmwind/shared/engine/keys';
import { type JobRow, jobRecord } from '@warmwind/shared/engine/ledger/rows';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/engine/records';
import type { Redis } from 'ioredis';
import { signToken } from '../../local/edge/testing.ts';
import { readPage } from './client.ts';
import { HEAVY, RARE_STATE } from './fill.ts';
import { type Figure, median, percentile } from './report.ts';

const DAY_MS = 86_400_000;

/** Writes the records that Redis would still have of the heavy user: the jobs of the last day. */
export async function remember(redis: Redis, rows: JobRow[]): Promise<void> {
  const pipeline = redis.pipeline();
  for (const row of rows) {
    pipeline.hset(keys.job(row.userId, row.id), jobRecord(row));
    pipeline.pexpire(keys.job(row.userId, row.id), ENDED_RECORD_TTL_MS);
    pipeline.zadd(keys.jobs(row.userId), row.createdAt.getTime(), row.id);
  }
  await pipeline.exec();
}

/** Reads the heavy user's lists: the first page and page `deep` in turn, `times` each. */
export async function measureLists(edge: string, times: number, deep: number): Promise<Figure[]> {
  const bearer = await signToken({ sub: HEAVY });
  const ago = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString();
  const lists: Record<string, JobQuery> = {
    'limit 20': { limit: 20 },
    'limit 100': { limit: 100 },
    'a rare state': { limit: 20, state: RARE_STATE },
    'a kind': { limit: 20, kind: 'container.stop' },
    'a month': { limit: 20, since: ago(60), until: ago(30) },
  };
  const figures: Figure[] = [];
  for (const [name, query] of Object.entries(lists)) {
    const deeper = { ...query, cursor: await walk(edge, bearer, query, deep) };
    const seen = { first: [] as number[], deeper: [] as number[] };
    for (let i = 0; i < times; i++) {
      seen.first.push((await readPage(edge, bearer, query)).ms);
      seen.deeper.push((await readPage(edge, bearer, deeper)).ms);
    }
    const [a, b] = [percentile(seen.first, 95), percentile(seen.deeper, 95)];
    figures.push(
      { name: `${name}: first page p50`, value: median(seen.first), unit: 'ms' },
      { name: `${name}: first page p95`, value: a, unit: 'ms' },
      { name: `${name}: page ${deep} p50`, value: median(seen.deeper), unit: 'ms' },
      { name: `${name}: page ${deep} p95`, value: b, unit: 'ms' },
      {
        name: `${name}: p95, slower / faster`,
        value: Math.max(a, b) / Math.min(a, b),
        unit: '×',
        target: { atMost: 2 },
      },
    );
  }
  return figures;
}

/**
 * Reads page after page, as a client does.
 * @returns the cursor of page `deep`
 * @throws Error when an item is out of order or appears twice
 */
async function walk(edge: string, bearer: string, first: JobQuery, deep: number): Promise<string> {
  let cursor = '';
  let last = '￿';
  const ids = new Set<string>();
  for (let page = 1; page < deep; page++) {
    const { items, nextCursor } = (await readPage(edge, bearer, cursor ? { ...first, cursor } : first)).page;
    for (const { id, createdAt } of items) {
      if (createdAt > last || ids.has(id))
        throw new Error(`${JSON.stringify(first)}: page ${page} is out of order`);
      ids.add(id);
      last = createdAt;
    }
    if (!nextCursor) throw new Error(`${JSON.stringify(first)} ends at page ${page}`);
    cursor = nextCursor;
  }
  return cursor;
}
