import { execFile } from 'node:child_process';
import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { newId } from '@warmwind/shared/contract/ids';
import { recordSubmission } from '@warmwind/shared/engine/ledger/submissions';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startPostgres, type TestPostgres } from '../../quality/testing/postgres.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { MIGRATIONS } from './restore.ts';
import { moreMigrations, ownFolder } from './testing.ts';

const ROOT = join(import.meta.dirname, '../../..');
const run = promisify(execFile);
const log = createLog('test');
log.level = 'silent';
// Commands are processes of their own, which a busy machine starts slowly.
vi.setConfig({ testTimeout: 120_000 });

let dir: string;

beforeAll(async () => {
  dir = await ownFolder();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function withPostgres(
  options: { migrated?: boolean },
  work: (server: TestPostgres, ledger: Ledger) => Promise<void>,
): Promise<void> {
  const server = await startPostgres(options);
  const ledger = new Ledger(server.url, 'test', log);
  try {
    await work(server, ledger);
  } finally {
    await ledger.close();
    await server.stop();
  }
}

const applied = async ({ sql }: TestPostgres) =>
  (await sql`select hash from drizzle.__drizzle_migrations`).length;

/**
 * Submits one job after the other until `stop`.
 * @returns the ids of acknowledged ones
 */
function submissions(ledger: Ledger) {
  const acknowledged: string[] = [];
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      const id = newId();
      const job = {
        ...{ id, userId: 'ada', kind: 'container.stop' as const, state: 'queued' as const, run: 1, fence: 0 },
        ...{
          attemptsMade: 0,
          queue: 'containers',
          containerId: 'c',
          containerIds: null,
          requestId: 'r',
          priority: 0,
          priorityClass: 5,
          timeoutMs: 0,
          webhookUrl: '',
          labels: null,
          result: null,
          error: null,
        },
        ...{ createdAt: new Date(), startedAt: null, finishedAt: null },
      };
      await ledger.run((db) => recordSubmission(db, { job, containers: [], idempotency: undefined }));
      acknowledged.push(id);
    }
  })();
  loop.catch(() => undefined);
  const stop = async () => {
    stopped = true;
    await loop;
  };
  return { acknowledged, stop };
}

test('the migrations make the schema: no migration is left to generate', async () => {
  const out = join(dir, 'generated');
  await cp(MIGRATIONS, out, { recursive: true });
  const schema = join(ROOT, 'shared/engine/ledger/schema.ts');
  const args = ['generate', '--dialect', 'postgresql', '--schema', schema, '--out', relative(ROOT, out)];
  await run(join(ROOT, 'node_modules/.bin/drizzle-kit'), args, { cwd: ROOT, timeout: 25_000 });
  expect(await readdir(out)).toEqual(await readdir(MIGRATIONS));
});

test('the migrations are in the order of their times', async () => {
  const journal = JSON.parse(await readFile(join(MIGRATIONS, 'meta/_journal.json'), 'utf8')) as {
    entries: { when: number }[];
  };
  const times = journal.entries.map(({ when }) => when);
  expect(times).toEqual([...new Set(times)].sort((a, b) => a - b));
});

test('migrating from four processes at once does each migration once', async () => {
  await withPostgres({}, async (server) => {
    const program = `
      const { Ledger } = await import('@warmwind/shared/engine/node/ledger');
      const { createLog } = await import('@warmwind/shared/runtime/node/log');
      const ledger = new Ledger(process.env.URL, 'test', createLog('test'));
      await ledger.migrate(AbortSignal.timeout(20_000));
      await ledger.close();`;
    const env = { PATH: process.env.PATH, URL: server.url, LOG_LEVEL: 'silent' };
    const args = ['--input-type=module', '--eval', program];
    const one = () => run('node', args, { cwd: join(ROOT, 'infra'), env, timeout: 25_000 });
    await Promise.all([one(), one(), one(), one()]);
    const sqls = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql'));
    expect(await applied(server)).toBe(sqls.length);
    expect((await server.sql`select from jobs`).length).toBe(0);
  });
});

test('migrating while submissions come in loses none of them', async () => {
  const folder = await moreMigrations(
    join(dir, 'beside'),
    `alter table jobs add column notes text;
    --> statement-breakpoint
    create index jobs_notes on jobs (notes);`,
  );
  await withPostgres({ migrated: true }, async (server, ledger) => {
    const { acknowledged, stop } = submissions(ledger);
    await waitFor('submissions', () => acknowledged.length > 50);
    await ledger.migrate(AbortSignal.timeout(10_000), folder);
    const sofar = acknowledged.length;
    await waitFor('submissions to continue', () => acknowledged.length > sofar + 50);
    await stop();
    const rows = await server.sql`select id from jobs where notes is null`;
    expect(rows.map(({ id }) => id).sort()).toEqual(acknowledged.sort());
    expect((await server.sql`select from job_changes`).length).toBe(acknowledged.length);
  });
});

test('a migration that waits for a lock lets others go first, and runs when the lock is free', async () => {
  const folder = await moreMigrations(join(dir, 'waits'), 'alter table jobs add column notes text;');
  await withPostgres({ migrated: true }, async (server, ledger) => {
    const before = await applied(server);
    const { acknowledged, stop } = submissions(ledger);
    const reader = await server.sql.reserve();
    await reader`begin`;
    await reader`select from jobs`;
    const migrating = ledger.migrate(AbortSignal.timeout(20_000), folder);
    const waits = () =>
      reader`select from pg_locks where not granted and relation = 'jobs'::regclass and mode = 'AccessExclusiveLock'`;
    await waitFor('the migration to wait', async () => (await waits()).length > 0);
    const held = acknowledged.length;
    await waitFor('submissions to continue', () => acknowledged.length > held + 10);
    expect(await applied(server)).toBe(before);
    await reader`commit`;
    reader.release();
    await migrating;
    await stop();
    expect(await applied(server)).toBe(before + 1);
    expect((await server.sql`select from jobs`).length).toBe(acknowledged.length);
  });
});
