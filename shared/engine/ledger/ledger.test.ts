import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../../../infra/quality/testing/postgres.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { recordChanges } from './changes.ts';
import type { Db } from './db.ts';
import { recordPlacement } from './placements.ts';
import { beat, listJobs, readContainer, readJob, readLag } from './reads.ts';
import {
  type ContainerRow,
  containerOf,
  containerRecord,
  containerRow,
  type JobRow,
  jobRecord,
  jobRow,
} from './rows.ts';
import { containers } from './schema.ts';
import { recordSubmission } from './submissions.ts';
import { readUsage } from './usage.ts';

const USER = 'ada';
const T0 = Date.parse('2026-11-23T23:00:00.123Z');
let server: TestPostgres;
let sql: postgres.Sql;
let db: Db;

beforeAll(async () => {
  server = await startPostgres({ migrated: true });
  sql = postgres(server.url, { prepare: false, fetch_types: false });
  db = drizzle(sql);
});
afterAll(async () => {
  await sql?.end();
  await server?.stop();
});
beforeEach(
  () =>
    server.sql`truncate jobs, job_changes, containers, container_changes, volumes, idempotency_keys, usage_days, heartbeat`,
);

const job = (id = 'j1', more: Partial<JobRow> = {}): JobRow => ({
  id,
  userId: USER,
  kind: 'container.start',
  state: 'queued',
  run: 1,
  fence: 0,
  attemptsMade: 0,
  queue: 'containers',
  containerId: 'c1',
  containerIds: null,
  requestId: 'r1',
  priority: 5,
  priorityClass: 5,
  timeoutMs: 0,
  webhookUrl: '',
  labels: null,
  result: null,
  error: null,
  createdAt: new Date(T0),
  startedAt: null,
  finishedAt: null,
  ...more,
});
const desktop = (more: Partial<ContainerRow> = {}): ContainerRow => ({
  id: 'c1',
  userId: USER,
  name: 'n',
  state: 'requested',
  image: 'desktop',
  width: 800,
  height: 600,
  spec: { image: 'x', env: { A: '1' } },
  jobId: 'j1',
  host: '',
  boot: '',
  fence: 0,
  instanceId: '',
  error: null,
  createdAt: new Date(T0),
  startedAt: null,
  expiresAt: null,
  endedAt: null,
  endReason: null,
  labels: null,
  warm: false,
  usedAt: null,
  pausedBy: null,
  exit: null,
  ...more,
});
const ended = (state: 'completed' | 'failed' | 'cancelled', more: Partial<JobRow> = {}) =>
  job('j1', { state, fence: 1, startedAt: new Date(T0 + 1000), finishedAt: new Date(T0 + 5000), ...more });
const change = (seq: string, row: JobRow) => ({ seq, at: new Date(T0), job: row });
const changes = (...jobs: ReturnType<typeof change>[]) => recordChanges(db, { jobs, containers: [] });
const changeOf = (seq: string, container: ContainerRow) => ({ seq, at: new Date(T0), container });
const placed = (fence: number, host = 'a', boot = 'b1') =>
  recordPlacement(db, desktop({ state: 'starting', host, boot, fence }), new Date(T0));

test('a record and its row convert into each other without loss', () => {
  const full = ended('failed', {
    result: { a: 'b\u0000' },
    error: { code: 'x', message: 'm', retryable: false },
  });
  expect(jobRow(USER, jobRecord(full))).toEqual(full);
  const running = desktop({
    state: 'running',
    host: 'h',
    boot: 'b',
    fence: 2,
    startedAt: new Date(T0),
    expiresAt: new Date(T0 + 1),
  });
  const idle = { ...running, state: 'stopped', endedAt: new Date(T0 + 2), endReason: 'idle' } as const;
  for (const row of [running, idle]) expect(containerRow(USER, containerRecord(row))).toEqual(row);
  const laterRecord = { ...containerRecord(idle), endReason: 'of a later version' };
  expect(containerRow(USER, laterRecord)).toEqual({ ...idle, endReason: null });
});

describe('a submission', () => {
  const key = { keyHash: 'k', requestHash: 'q' };
  const submit = (id = 'j1', idempotency: typeof key | undefined = key) =>
    recordSubmission(db, { job: job(id), containers: [desktop({ id: `c-${id}`, jobId: id })], idempotency });

  test('is recorded once however often it is sent, with job, desktop and key', async () => {
    for (let i = 0; i < 3; i++) expect(await submit()).toBeUndefined();
    expect(await readJob(db, USER, 'j1')).toEqual(job());
    expect(await readContainer(db, USER, 'c-j1')).toEqual(desktop({ id: 'c-j1' }));
    expect(await server.sql`select state from job_changes`).toHaveLength(1);
    expect(await server.sql`select state from container_changes`).toHaveLength(1);
  });

  test('exactly one of several concurrent ones with one key is written, and the others return its job', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => submit(`j${i}`)));
    expect(answers.filter((earlier) => earlier === undefined)).toHaveLength(1);
    const written = await server.sql`select id from jobs`;
    expect(written).toHaveLength(1);
    for (const earlier of answers) if (earlier) expect(earlier.jobId).toBe(written[0]?.id);
  });

  test('a key is free again after 24 hours', async () => {
    await submit('j1');
    await server.sql`update idempotency_keys set created_at = created_at - interval '24 hours'`;
    expect(await submit('j2')).toBeUndefined();
    expect(await submit('j1')).toMatchObject({ jobId: 'j2' });
  });

  test('that is repeated does not change a state that was recorded meanwhile', async () => {
    await submit('j1', undefined);
    await changes(change('1', ended('completed')));
    await submit('j1', undefined);
    expect(await readJob(db, USER, 'j1')).toMatchObject({ state: 'completed' });
  });
});

test('a desktop whose stop was accepted before it was placed is never placed, even if Redis loses the stop', async () => {
  await recordSubmission(db, { job: job(), containers: [desktop()], idempotency: undefined });
  const stop = job('j2', { kind: 'container.stop' });
  await recordSubmission(db, {
    job: { ...stop, userId: 'bob' },
    containers: [],
    idempotency: undefined,
  });
  expect(await readContainer(db, USER, 'c1')).toMatchObject({ state: 'requested' });
  await recordSubmission(db, { job: { ...stop, id: 'j3' }, containers: [], idempotency: undefined });
  expect(await placed(1)).toMatchObject({ state: 'stopping', host: '' });
});

describe('changes', () => {
  test('the first end of a run is kept in state, history and usage, however often ends are recorded', async () => {
    await changes(change('1', job('j1', { state: 'active', fence: 1 })), change('2', ended('completed')));
    await changes(change('2', ended('completed')), change('3', ended('failed')));
    await changes(change('4', job('j1', { state: 'active', fence: 9 })));
    expect(await readJob(db, USER, 'j1')).toMatchObject({ state: 'completed', fence: 1 });
    const history = await server.sql`select seq, state from job_changes order by seq`;
    expect(history.map(({ state }) => state)).toEqual(['active', 'completed', 'active']);
    expect(await readUsage(db, USER, '2026-11-23', '2026-11-23', new Date(T0))).toEqual([
      {
        day: '2026-11-23',
        jobs: 1,
        queueSeconds: 1,
        runSeconds: 4,
        desktopSeconds: 0,
        inputTokens: 0,
        outputTokens: 0,
      },
    ]);
  });

  test('a later run reopens a job, and changes of an earlier run no longer change its state', async () => {
    await changes(change('1', ended('failed')), change('2', job('j1', { run: 2 })));
    expect(await readJob(db, USER, 'j1')).toMatchObject({ state: 'queued', run: 2, finishedAt: null });
    await changes(change('3', ended('cancelled')));
    expect(await readJob(db, USER, 'j1')).toMatchObject({ state: 'queued', run: 2 });
  });

  test('the end of a run that is recorded after the next run began is in history and usage, once', async () => {
    await changes(change('1', job('j1', { run: 2 })));
    const late = change('2', ended('failed'));
    await changes(late);
    await changes(late, change('3', ended('cancelled')));
    expect(await readJob(db, USER, 'j1')).toMatchObject({ state: 'queued', run: 2, finishedAt: null });
    const history = await server.sql`select run, state from job_changes order by run, seq`;
    expect([...history]).toEqual([
      { run: 1, state: 'failed' },
      { run: 2, state: 'queued' },
    ]);
    const [day] = await readUsage(db, USER, '2026-11-23', '2026-11-23', new Date(T0));
    expect(day).toMatchObject({ jobs: 1, runSeconds: 4 });
  });

  test('a desktop under an older placement changes nothing, and its spec is kept until it ends', async () => {
    await recordSubmission(db, { job: job(), containers: [desktop()], idempotency: undefined });
    expect(await placed(2)).toBeUndefined();
    const running = desktop({ state: 'running', host: 'a', boot: 'b1', fence: 2, spec: {} });
    const containers = [changeOf('1', desktop({ state: 'lost', fence: 1, endedAt: new Date(T0) }))];
    await recordChanges(db, { jobs: [], containers: [...containers, changeOf('2', running)] });
    expect(await readContainer(db, USER, 'c1')).toMatchObject({ state: 'running', spec: { image: 'x' } });
    const stopped = { ...running, state: 'stopped' as const, endedAt: new Date(T0) };
    await recordChanges(db, { jobs: [], containers: [changeOf('3', stopped)] });
    expect(await readContainer(db, USER, 'c1')).toMatchObject({ state: 'stopped', spec: {} });
  });

  test('the row of a desktop that was stopped for being idle has that reason', async () => {
    const times = { startedAt: new Date(T0), expiresAt: new Date(T0 + 60_000), endedAt: new Date(T0 + 1) };
    const stopped = desktop({ state: 'stopped', host: 'a', fence: 2, ...times, endReason: 'idle' });
    const stopping = { ...stopped, state: 'stopping' as const, endedAt: null };
    await recordChanges(db, { jobs: [], containers: [changeOf('1', stopping)] });
    await recordChanges(db, { jobs: [], containers: [changeOf('2', stopped)] });
    const row = await readContainer(db, USER, 'c1');
    expect(row && containerOf(row)).toMatchObject({ state: 'stopped', endReason: 'idle' });
  });

  test('concurrent writers of overlapping changes do not deadlock, and nothing counts twice', async () => {
    const all = Array.from({ length: 40 }, (_, i) =>
      change(`${i}`, job(`j${i}`, { state: 'completed', fence: 1, finishedAt: new Date(T0 + 1) })),
    );
    await Promise.all([changes(...all), changes(...all.toReversed()), changes(...all)]);
    const [usage] = await readUsage(db, USER, '2026-11-23', '2026-11-23', new Date(T0));
    expect(usage?.jobs).toBe(40);
  });
});

describe('a placement', () => {
  beforeEach(() => recordSubmission(db, { job: job(), containers: [desktop()], idempotency: undefined }));

  test('a later fence wins; an earlier one, and any after the start, is refused with the present row', async () => {
    expect(await placed(1)).toBeUndefined();
    expect(await placed(2, 'b', 'b2')).toBeUndefined();
    expect(await placed(1)).toMatchObject({ host: 'b', fence: 2 });
    const running = desktop({ state: 'running', host: 'b', boot: 'b2', fence: 2 });
    await recordChanges(db, { jobs: [], containers: [changeOf('1', running)] });
    expect(await placed(3)).toMatchObject({ state: 'running', host: 'b', fence: 2 });
  });

  test('is recorded once when it is repeated', async () => {
    expect(await placed(1)).toBeUndefined();
    expect(await placed(1)).toBeUndefined();
    expect(await server.sql`select 1 from container_changes where state = 'starting'`).toHaveLength(1);
  });

  test('is granted to one of two hosts with the same fence', async () => {
    const answers = await Promise.all([placed(1, 'a', 'x'), placed(1, 'b', 'y')]);
    expect(answers.filter((against) => against === undefined)).toHaveLength(1);
  });
});

test('desktop seconds fall on the days they were used on, and a running desktop counts up to now', async () => {
  const host = { host: 'a', boot: 'b1', fence: 1, startedAt: new Date('2026-11-22T23:59:50Z') };
  const gone = desktop({ ...host, state: 'stopped', endedAt: new Date('2026-11-24T00:00:05Z') });
  const live = desktop({
    ...host,
    id: 'c2',
    state: 'running',
    startedAt: new Date('2026-11-24T00:00:00Z'),
  });
  await recordChanges(db, { jobs: [], containers: [changeOf('1', gone), changeOf('2', live)] });
  const usage = await readUsage(db, USER, '2026-11-01', '2026-11-30', new Date('2026-11-24T00:01:00Z'));
  expect(usage.map(({ day, desktopSeconds }) => [day, desktopSeconds])).toEqual([
    ['2026-11-22', 10],
    ['2026-11-23', 86_400],
    ['2026-11-24', 65],
  ]);
  expect(await readUsage(db, 'bob', '2026-11-01', '2026-11-30', new Date(T0))).toEqual([]);
});

test('pages walk all of a user\u2019s jobs once, newest first, also those of one millisecond', async () => {
  const ids = Array.from({ length: 25 }, (_, i) => `j${`${i}`.padStart(2, '0')}`);
  for (const [i, id] of ids.entries()) {
    const row = job(id, { createdAt: new Date(T0 + Math.floor(i / 10)), containerId: '' });
    await recordSubmission(db, { job: row, containers: [], idempotency: undefined });
  }
  const seen: string[] = [];
  let before: { createdAt: Date; id: string } | undefined;
  do {
    const page = { userId: USER, since: undefined, until: undefined, before, limit: 4 };
    const rows = await listJobs(db, page, { state: undefined, kind: 'container.start' });
    seen.push(...rows.map(({ id }) => id));
    before = rows.at(-1);
  } while (before);
  expect(seen).toEqual(ids.toReversed());
});

test('the lag is infinite without a heartbeat, and small after one', async () => {
  expect(await readLag(db)).toBe(Number.POSITIVE_INFINITY);
  await beat(db);
  await beat(db);
  expect(await readLag(db)).toBeLessThan(60_000);
});

test('a retry that is recorded while the drain records the same run waits for it and does not deadlock', async () => {
  await recordChanges(db, { jobs: [change('1', ended('failed'))], containers: [] });
  const at = new Date(T0 + 9000);
  const again = job('j1', { run: 2, fence: 2, containerId: 'c2' });
  const wanted = desktop({ id: 'c2', createdAt: at });
  const retry = { at, seqs: { job: '2', containers: ['3'] } };
  let recorded: Promise<unknown> = Promise.resolve();
  // Locks rows in the order of the drain: the job's first, then the desktop's.
  await db.transaction(async (drain) => {
    await drain.execute(drizzleSql`update jobs set queue = queue where id = 'j1'`);
    recorded = recordSubmission(db, { job: again, containers: [wanted], retry, idempotency: undefined });
    recorded.catch(() => undefined);
    await waitFor('the retry to wait', async () => {
      const [row] = await server.sql`select from pg_stat_activity where wait_event_type = 'Lock'`;
      return row !== undefined;
    });
    await drain.insert(containers).values(wanted);
  });
  await recorded;
  expect(await readJob(db, USER, 'j1')).toMatchObject({ run: 2, state: 'queued', containerId: 'c2' });
});
