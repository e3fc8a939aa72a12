import { drizzle } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fillLedger, HEAVY } from '../../../infra/quality/bench/fill.ts';
import { startPostgres, type TestPostgres } from '../../../infra/quality/testing/postgres.ts';
import type { Db } from './db.ts';
import {
  containersById,
  endedJobs,
  jobsById,
  listContainers,
  listJobs,
  openContainers,
  openJobs,
  type Page,
  readContainer,
  readJob,
} from './reads.ts';

const JOBS = 40_000;
const LIMIT = 20;
const DAY_MS = 86_400_000;
/** The most pages of 8 KB that a read through an index of this size takes, for so many rows. */
const BLOCKS = (rows: number): number => 20 + 2 * rows;

let server: TestPostgres;
let sql: postgres.Sql;
let db: Db;
let last: { query: string; params: unknown[] };

beforeAll(async () => {
  server = await startPostgres({ migrated: true });
  await fillLedger(server.sql, JOBS, new Date());
  sql = postgres(server.url, { max: 1, prepare: false, fetch_types: false });
  const logQuery = (query: string, params: unknown[]) => {
    last = { query, params };
  };
  db = drizzle(sql, { logger: { logQuery } });
});
afterAll(async () => {
  await sql?.end();
  await server?.stop();
});

type Node = {
  'Node Type': string;
  Plans?: Node[];
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  'Rows Removed by Filter'?: number;
};

type Plan = { steps: string[]; blocks: number; rowsRemovedByFilter: number };

/**
 * The plan of the query of `ask`: its steps, the blocks that it read, and the rows that it read and
 * discarded.
 */
async function planOf(ask: () => Promise<unknown>): Promise<Plan> {
  await ask();
  const { query, params } = last;
  const explain = `explain (analyze, buffers, timing off, format json) ${query}`;
  const [row] = await sql.unsafe<{ 'QUERY PLAN': [{ Plan: Node }] }[]>(
    explain,
    params as postgres.ParameterOrJSON<never>[],
  );
  const plan = row?.['QUERY PLAN'][0].Plan;
  if (!plan) throw new Error('there is no plan');
  const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];
  const nodes = all(plan);
  return {
    steps: nodes.map((node) => node['Node Type']),
    blocks: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
    rowsRemovedByFilter: nodes.reduce((sum, node) => sum + (node['Rows Removed by Filter'] ?? 0), 0),
  };
}

const page = (more: Partial<Page> = {}): Page => ({
  userId: HEAVY,
  since: undefined,
  until: undefined,
  before: undefined,
  limit: LIMIT,
  ...more,
});
/** Where the heavy user's second half begins. */
const deep = async (table: 'jobs' | 'containers') => {
  const [row] = await server.sql<{ createdAt: Date; id: string }[]>`
    select created_at as "createdAt", id from ${server.sql(table)} where user_id = ${HEAVY}
    order by created_at desc, id desc offset ${JOBS / 16} limit 1`;
  if (!row) throw new Error('there is no such page');
  return row;
};
const ago = (days: number) => new Date(Date.now() - days * DAY_MS);

describe('a page costs the same at any depth: it is read from an index, in order', () => {
  const expectStraight = ({ steps, blocks, rowsRemovedByFilter }: Plan) => {
    expect(steps).toEqual(['Limit', 'Index Scan']);
    expect(blocks).toBeLessThan(BLOCKS(LIMIT));
    expect(rowsRemovedByFilter).toBe(0);
  };
  const filters = {
    'without a filter': {},
    'of a rare state': { state: 'failed' },
    'of the most common state': { state: 'completed' },
    'of a kind': { kind: 'container.stop' },
  } as const;
  test.each(Object.entries(filters))('jobs %s', async (_, filter) => {
    const where = { state: undefined, kind: undefined, ...filter };
    for (const before of [undefined, await deep('jobs')]) {
      for (const time of [{}, { since: ago(80) }, { until: ago(50) }, { since: ago(80), until: ago(50) }]) {
        const plan = await planOf(() => listJobs(db, page({ before, ...time }), where));
        expectStraight(plan);
      }
    }
  });

  test.each([undefined, 'stopped', 'running'] as const)('desktops, state %s', async (state) => {
    for (const before of [undefined, await deep('containers')]) {
      const plan = await planOf(() => listContainers(db, page({ before }), { state }));
      expectStraight(plan);
    }
  });

  test('a page of a state without rows does not read the rows of other states', async () => {
    const plan = await planOf(() => listJobs(db, page(), { state: 'delayed', kind: 'container.stop' }));
    expect(plan.steps).toEqual(['Limit', 'Index Scan']);
    expect(plan.blocks).toBeLessThan(BLOCKS(0));
  });
});

test('open rows are found without reading ended ones', async () => {
  const after = { createdAt: ago(0.3), id: '' };
  for (const ask of [openJobs, openContainers]) {
    for (const from of [undefined, after]) {
      const plan = await planOf(() => ask(db, new Date(), from, 100));
      expect(plan.steps).toEqual(['Limit', 'Index Scan']);
      expect(plan.blocks).toBeLessThan(BLOCKS(100));
    }
  }
});

test('recently ended rows are found without reading older or open ones', async () => {
  const plan = await planOf(() => endedJobs(db, { finishedAt: ago(0.3), id: '' }, 100));
  expect(plan.steps).not.toContain('Seq Scan');
  expect(plan.steps).toContain('Index Scan');
  expect(plan.blocks).toBeLessThan(BLOCKS(100));
});

test('rows are found by their ids through the primary key', async () => {
  const rows = await server.sql<{ id: string; container: string }[]>`
    select id, container_id as container from jobs where kind = 'container.start' limit 100`;
  const ids = rows.map(({ id }) => id);
  const containers = rows.map(({ container }) => container);
  const asks = [
    () => jobsById(db, ids),
    () => containersById(db, containers),
    () => readJob(db, HEAVY, ids[0] ?? ''),
    () => readContainer(db, HEAVY, containers[0] ?? ''),
  ];
  for (const ask of asks) {
    const plan = await planOf(ask);
    expect(plan.steps).not.toContain('Seq Scan');
    expect(plan.blocks).toBeLessThan(BLOCKS(2 * ids.length));
  }
});
