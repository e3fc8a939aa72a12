import { pruneJobs } from '@warmwind/shared/engine/ledger/retention';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { recordSubmission } from '@warmwind/shared/engine/ledger/submissions';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../../infra/quality/testing/postgres.ts';
import { prune } from './retention.ts';

const log = createLog('test');
log.level = 'silent';
let postgres: TestPostgres;
let ledger: Ledger;

beforeAll(async () => {
  postgres = await startPostgres({ migrated: true });
  ledger = new Ledger(postgres.url, 'test', log);
});
afterAll(async () => {
  await ledger?.close();
  await postgres?.stop();
});
beforeEach(async () => {
  const { sql } = postgres;
  await sql`truncate jobs, job_changes, containers, container_changes, volumes, idempotency_keys, usage_days`;
  // By their age in days: 100 and 10, ended, and 100, open.
  for (const [name, days, open] of [
    ['old', 100, false],
    ['new', 10, false],
    ['open', 100, true],
  ] as const) {
    await sql`insert into jobs
      select ${name} || n, 'ada', 'container.start', ${open ? 'active' : 'completed'}, 1, 1, 1, 'containers', '', 'r', null,
        null, now() - make_interval(days => ${days}), null,
        case when ${open} then null else now() - make_interval(days => ${days}) end
      from generate_series(1, 230) n`;
    await sql`insert into containers
      select ${name} || n, 'ada', '', ${open ? 'running' : 'stopped'}, 'desktop', 1, 1, '{}', 'j', '', '', 1, null,
        now() - make_interval(days => ${days}), null, null,
        case when ${open} then null else now() - make_interval(days => ${days}) end
      from generate_series(1, 230) n`;
  }
  await sql`insert into job_changes
    select id, 1, seq, 'ada', 'active', 1, 1, created_at from jobs, unnest(array['a', 'b']) seq`;
  await sql`insert into container_changes
    select id, seq, 'ada', 'running', '', 1, created_at from containers, unnest(array['a', 'b']) seq`;
  await sql`insert into idempotency_keys
    select 'ada', hours::text, 'q', 'j', 'c', now() - make_interval(hours => hours) from generate_series(1, 60) hours`;
  await sql`insert into usage_days values ('ada', '2020-01-01', 5, 1, 1, 1, 0, 0)`;
});

const signal = new AbortController().signal;
const tables = ['jobs', 'containers', 'job_changes', 'container_changes'] as const;
const left = async (table: (typeof tables)[number]) => {
  const { sql } = postgres;
  const id = table === 'job_changes' ? 'job_id' : table === 'container_changes' ? 'container_id' : 'id';
  const rows = await sql`select rtrim(${sql(id)}, '0123456789') as name, count(*)::int from ${sql(table)}
    group by 1 order by 1`;
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
};

test('rows that ended long ago are deleted with their history; open and young ones, and the usage, stay', async () => {
  const pruned: Record<string, number> = {};
  const onPruned = (what: string, rows: number) => {
    pruned[what] = (pruned[what] ?? 0) + rows;
  };
  await prune({ ledger, days: 90, batch: 100, onPruned }, signal);
  expect(pruned).toEqual({ jobs: 230, containers: 230, idempotency_keys: 36 });
  for (const table of ['jobs', 'containers'] as const) {
    expect(await left(table)).toEqual({ new: 230, open: 230 });
  }
  for (const table of ['job_changes', 'container_changes'] as const) {
    expect(await left(table)).toEqual({ new: 460, open: 460 });
  }
  expect(await postgres.sql`select 1 from idempotency_keys`).toHaveLength(24);
  expect(await postgres.sql`select 1 from usage_days`).toHaveLength(1);
});

test('retention and writers do not wait for each other', async () => {
  const { sql } = postgres;
  await sql.begin(async (tx) => {
    await tx`select 1 from jobs where id in ('old1', 'new1') for update`;
    await prune({ ledger, days: 90, batch: 100 }, signal);
  });
  expect(await left('jobs')).toMatchObject({ old: 1, new: 230, open: 230 });

  // In the middle of a deletion: its transaction stays open until the others are done.
  await sql`update jobs set finished_at = now() - interval '100 days' where id like 'new%'`;
  await ledger.run((db) =>
    db.transaction(async (tx) => {
      expect(await pruneJobs(tx, new Date(Date.now() - 90 * 86_400_000), 100)).toBe(100);
      await sql.begin(async (other) => {
        await other`set local lock_timeout = '500ms'`;
        await other`update jobs set state = 'completed', finished_at = now() where id = 'open1'`;
      });
      const record = { id: 'j', state: 'queued', createdAt: `${Date.now()}`, kind: 'container.start' };
      const job = jobRow('ada', record);
      const container = containerRow('ada', { id: 'c', state: 'requested', createdAt: `${Date.now()}` });
      await ledger.run((own) =>
        recordSubmission(own, { job, containers: [container], idempotency: undefined }),
      );
    }),
  );
  expect(await left('jobs')).toEqual({ j: 1, new: 131, open: 230 });
});

test('submissions continue during retention, and two at once delete each row once', async () => {
  let stop = false;
  let written = 0;
  const writing = (async () => {
    while (!stop) {
      written += 1;
      const job = jobRow('bob', {
        id: `job${written}`,
        kind: 'container.start',
        state: 'queued',
        createdAt: `${Date.now()}`,
      });
      const idempotency = { keyHash: `k${written}`, requestHash: 'q' };
      await ledger.run((db) => recordSubmission(db, { job, containers: [], idempotency }));
    }
  })();
  let pruned = 0;
  const onPruned = (_: string, rows: number) => {
    pruned += rows;
  };
  const work = () => prune({ ledger, days: 90, batch: 20, onPruned }, signal);
  await Promise.all([work(), work()]);
  stop = true;
  await writing;
  expect(pruned).toBe(230 + 230 + 36);
  expect(written).toBeGreaterThan(10);
  expect(await postgres.sql`select 1 from jobs where user_id = 'bob'`).toHaveLength(written);
});

test('retention ends when its signal is aborted', async () => {
  const stopped = new AbortController();
  let batches = 0;
  const onPruned = () => {
    batches += 1;
    stopped.abort();
  };
  await prune({ ledger, days: 90, batch: 10, onPruned }, stopped.signal);
  expect(batches).toBe(1);
});
