import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { containerStart } from '@warmwind/shared/contract/commands/container-start';
import { newId } from '@warmwind/shared/contract/ids';
import { planOf } from '@warmwind/shared/contract/plan';
import { keys, recordPrefixes } from '@warmwind/shared/engine/keys';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { recordSubmission } from '@warmwind/shared/engine/ledger/submissions';
import { Drain } from '@warmwind/shared/engine/node/drain';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { type JobRef, Records } from '@warmwind/shared/engine/node/records';
import { JOB_DATA_VERSION, JOB_OPTIONS } from '@warmwind/shared/engine/queues';
import {
  ENDED_RECORD_TTL_MS,
  OPEN_RECORD_TTL_MS,
  RESERVATION_MS,
  type SubmitRequest,
} from '@warmwind/shared/engine/records';
import { submitJob } from '@warmwind/shared/engine/scripts/submit.lua';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { Queue } from 'bullmq';
import type postgres from 'postgres';
import { createNotify } from '../../../workers/webhooks/notify.ts';
import { startPostgres } from '../../quality/testing/postgres.ts';
import { startRedis, type TestRedis } from '../../quality/testing/redis.ts';
import { MIGRATIONS } from './restore.ts';
import { TABLES } from './tables.ts';

/** A folder of the test's own. */
export async function ownFolder(): Promise<string> {
  const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
  await mkdir(root, { recursive: true });
  return mkdtemp(join(root, 'ledger-'));
}

export type Outcome = { code: number; out: string; err: string };

/** Runs a command as an operator does; `env` names all of its servers. */
export function operate(name: string, args: string[], env: Record<string, string>): Promise<Outcome> {
  const file = join(import.meta.dirname, `${name}.ts`);
  const elsewhere = { WARMWIND_DIR: join(import.meta.dirname, 'nowhere') };
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...elsewhere, ...env }, timeout: 60_000 };
    const child = execFile('node', [file, ...args], options, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

/** Text that a careless copy would break. */
const AWKWARD = 'tab\t newline\n back\\slash \\. \\N quote\' "ü€😀';

/** Rows of a user in every table: ended jobs, a change each, a stopped desktop each. */
export async function fill(sql: postgres.Sql, user: string, jobs: number): Promise<void> {
  const error = JSON.stringify({ code: 'internal', message: AWKWARD, retryable: false });
  const numbers = sql`generate_series(1, ${jobs}) as n`;
  const id = sql`${user} || '-' || n`;
  const at = sql`'2026-01-01T00:00:00.123Z'::timestamptz + n * interval '1 second'`;
  await sql`insert into jobs select ${id}, ${user}, 'container.start', 'failed', 1, 1, 1, 'containers', ${id}, 'r', null,
    ${error}::text::json, ${at}, ${at}, ${at} from ${numbers}`;
  await sql`insert into job_changes select ${id}, 1, 'end', ${user}, 'failed', 1, 1, ${at} from ${numbers}`;
  await sql`insert into job_inputs select ${id}, ${user}, ${AWKWARD} from ${numbers}`;
  await sql`insert into containers select ${id}, ${user}, ${AWKWARD}, 'stopped', 'desktop', 800, 600, '{}', ${id}, 'h', 'b', 1,
    null, ${at}, ${at}, ${at}, ${at}, 'idle' from ${numbers}`;
  await sql`insert into container_changes select ${id}, 'end', ${user}, 'stopped', 'h', 1, ${at} from ${numbers}`;
  await sql`insert into idempotency_keys select ${user}, ${id}, 'hash', ${id}, ${id}, ${at} from ${numbers}`;
  await sql`insert into usage_days values (${user}, '2026-01-01', ${jobs}, 0.1, ${1 / 3}, 1e-9, 1, 9007199254740991)`;
}

/** All rows of all tables, as text in the order of their keys. */
export async function contents(sql: postgres.Sql): Promise<Record<string, string[]>> {
  const tables = await Promise.all(
    TABLES.map(async ({ name }) => {
      const rows = await sql`select t::text as row from ${sql(name)} t order by 1`;
      return [name, rows.map(({ row }) => String(row))] as const;
    }),
  );
  return Object.fromEntries(tables);
}

/** The migrations in a folder of their own, with one more that does `sql`. */
export async function moreMigrations(folder: string, sql: string): Promise<string> {
  await cp(MIGRATIONS, folder, { recursive: true });
  const file = join(folder, 'meta/_journal.json');
  const journal = JSON.parse(await readFile(file, 'utf8')) as { entries: { idx: number; when: number }[] };
  const last = journal.entries.at(-1);
  if (!last) throw new Error('there are no migrations');
  const tag = '9999_more';
  journal.entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, ...{ tag } });
  await writeFile(join(folder, `${tag}.sql`), sql);
  await writeFile(file, JSON.stringify(journal));
  return folder;
}

/** Real servers of a test's own, and what the edge does on them. */
export async function startServers() {
  const [queue, realtime, postgres] = await Promise.all([
    startRedis(),
    startRedis(),
    startPostgres({ migrated: true }),
  ]);
  const log = createLog('test');
  log.level = 'silent';
  const queues = new Map<string, Queue>();
  const publisher = new Publisher(realtime.client, log);
  const queueOf = (name: string): Queue => {
    const made =
      queues.get(name) ?? new Queue(name, { connection: queue.client, prefix: keys.bullmqPrefix(name) });
    queues.set(name, made);
    return made;
  };
  const ledger = new Ledger(postgres.url, 'test', log);
  const records = new Records(queue.client, publisher, ledger);
  return {
    queue,
    realtime,
    postgres,
    queueOf,
    ledger,
    records,
    notify: createNotify(() => queueOf('webhooks'), true),
    env: { LEDGER_URL: postgres.url, REDIS_QUEUE_URL: queue.url, REDIS_REALTIME_URL: realtime.url },
    drain: new Drain({ redis: queue.client, ledger, log }),

    /** Submits a desktop: records, row, queue entry and limits as the edge leaves them. */
    start: async (userId: string): Promise<JobRef> => {
      const [jobId, containerId] = [newId(), newId()];
      const spec = JSON.stringify({ image: 'desktop' });
      const container = { id: containerId, name: 'd', image: 'desktop', width: '800', height: '600', spec };
      const request: SubmitRequest = {
        plan: planOf(containerStart, 'placements'),
        nonce: newId(),
        scopes: [{ scope: 'user', tiers: [[100, 60_000_000, '100/min']] }],
        bodyHash: 'body',
        userId,
        prefixes: recordPrefixes(userId),
        job: { id: jobId, kind: 'container.start', requestId: 'r' },
        containers: [{ ...container, userId }],
        quotas: { jobs: 1000, desktops: 1000 },
        openTtlMs: OPEN_RECORD_TTL_MS,
        unconfirmedTtlMs: { record: OPEN_RECORD_TTL_MS, key: ENDED_RECORD_TTL_MS },
        reservationMs: RESERVATION_MS,
      };
      const of = { userId, scopes: ['user'] as const, jobId, idempotencyHash: jobId };
      await runScript(queue.client, submitJob, of, { request: JSON.stringify(request), input: '' });
      const [job, desktop] = await Promise.all([
        queue.client.hgetall(keys.job(userId, jobId)),
        queue.client.hgetall(keys.container(userId, containerId)),
      ]);
      const submission = {
        job: jobRow(userId, job),
        containers: [containerRow(userId, desktop)],
        idempotency: { keyHash: jobId, requestHash: 'body' },
      };
      await ledger.run((db) => recordSubmission(db, submission));
      const ref = { kind: 'container.start', userId, jobId, run: 1, containerId } as const;
      const data = { version: JOB_DATA_VERSION, ...ref, requestId: 'r' };
      await queueOf('containers').add(ref.kind, data, { ...JOB_OPTIONS, jobId });
      await records.jobs.queued(ref);
      return ref;
    },

    /** Empties all stores. */
    clear: async () => {
      const names = TABLES.map(({ name }) => postgres.sql(name));
      for (const name of names) await postgres.sql`truncate ${name}`;
      await Promise.all([queue.client.flushall(), realtime.client.flushall()]);
    },
    stop: async () => {
      publisher.close();
      await Promise.all([...queues.values()].map((made) => made.close()));
      await ledger.close();
      await Promise.all([queue.stop(), realtime.stop(), postgres.stop()]);
    },
  };
}

export type Servers = Awaited<ReturnType<typeof startServers>>;

/** The content of a Redis, by key. */
export async function redisContents({ client }: TestRedis): Promise<Map<string, string>> {
  const names = (await client.keys('*')).sort();
  const values = await Promise.all(names.map((name) => client.dumpBuffer(name)));
  return new Map(names.map((name, i) => [name, `${values[i]?.toString('hex')}`]));
}

/** A `PATH` below `dir` in which there is nothing but Node. */
export async function onlyNode(dir: string): Promise<string> {
  const bin = join(dir, 'bin');
  await mkdir(bin, { recursive: true });
  await symlink(process.execPath, join(bin, 'node'));
  return bin;
}
