import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { startPostgres, type TestPostgres } from '../../quality/testing/postgres.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { dumpLedger } from './dump.ts';
import { restoreLedger } from './restore.ts';
import { contents, fill, moreMigrations, operate, ownFolder } from './testing.ts';

// Commands are processes of their own, which a busy machine starts slowly.
vi.setConfig({ testTimeout: 120_000 });

let from: TestPostgres;
let into: TestPostgres;
let dir: string;
let file: string;

beforeAll(async () => {
  [from, into] = await Promise.all([startPostgres({ migrated: true }), startPostgres()]);
});
afterAll(() => Promise.all([from?.stop(), into?.stop()]));
beforeEach(async () => {
  dir = await ownFolder();
  file = join(dir, 'ledger.gz');
  await from.sql`truncate jobs, job_changes, job_inputs, containers, container_changes, volumes, idempotency_keys, usage_days, user_limits`;
  await into.sql`drop schema if exists drizzle cascade`;
  await into.sql`drop schema public cascade`;
  await into.sql`create schema public`;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const dump = () => operate('dump', [file, '--format', 'copy'], { LEDGER_URL: from.url });
const restore = () => operate('restore', [file], { LEDGER_URL: into.url });

describe('a dump', () => {
  test('restored into an empty server makes every table equal, and the output names the reconcile command', async () => {
    await fill(from.sql, 'ada', 3000);
    await fill(from.sql, 'a.b:c@d|e-f', 10);
    expect(await dump()).toMatchObject({
      code: 0,
      out: expect.stringMatching(/ {2}job_inputs +3010\n {2}jobs +3010\n/),
    });
    expect(await restore()).toMatchObject({ code: 0, out: expect.stringContaining('ledger:reconcile') });
    expect(await contents(into.sql)).toEqual(await contents(from.sql));
  });

  test('is for its owner alone, and leaves no other file', async () => {
    await fill(from.sql, 'ada', 1);
    await dump();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['ledger.gz']);
  });

  test('while rows come in, is of one moment: no job without its change, no change without its job', async () => {
    await fill(from.sql, 'ada', 20_000);
    let stopped = false;
    let inserted = 0;
    const inserting = (async () => {
      for (; !stopped; inserted++) {
        // These rows are inserted against the order in which tables are dumped.
        await from.sql.begin(async (tx) => {
          const id = `new-${inserted}`;
          await tx`insert into usage_days values (${id}, '2026-01-01', 1, 0, 0, 0, 0, 0)`;
          await tx`insert into job_changes values (${id}, 1, '', 'bob', 'queued', 0, 0, now())`;
          await tx`insert into jobs select ${id}, user_id, kind, state, run, fence, attempts_made, queue, container_id,
            request_id, result, error, created_at from jobs where id = 'ada-1'`;
        });
      }
    })();
    await waitFor('inserts to go on', () => inserted > 10);
    const before = inserted;
    await dumpLedger(from.url, file);
    await waitFor('inserts to continue after it', () => inserted > before + 10);
    stopped = true;
    await inserting;
    expect(await restore()).toMatchObject({ code: 0 });
    const [seen] = await into.sql`select
      (select array_agg(id order by id) from jobs where id like 'new-%') as jobs,
      (select array_agg(job_id order by job_id) from job_changes where job_id like 'new-%') as changes,
      (select array_agg(user_id order by user_id) from usage_days where user_id like 'new-%') as days`;
    expect(seen?.jobs.length).toBeGreaterThanOrEqual(before);
    expect(seen?.changes).toEqual(seen?.jobs);
    expect(seen?.days).toEqual(seen?.jobs);
  });

  test('that fails keeps the file of the last one', async () => {
    await fill(from.sql, 'ada', 1);
    await dump();
    const kept = await readFile(file);
    const failed = await operate('dump', [file], {
      LEDGER_URL: from.url.replace(/:[^:@]+@/, ':wrong-secret@'),
    });
    expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('password authentication failed') });
    expect(failed.err + failed.out).not.toContain('wrong-secret');
    expect(await readFile(file)).toEqual(kept);
    expect(await readdir(dir)).toEqual(['ledger.gz']);
  });

  test('that is stopped half-way ends at once and leaves nothing', async () => {
    await fill(from.sql, 'ada', 50_000);
    const child = spawn('node', [join(import.meta.dirname, 'dump.ts'), file], {
      env: { PATH: process.env.PATH, LEDGER_URL: from.url },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    await waitFor('it to have begun', async () => (await readdir(dir)).length > 0, 60_000);
    child.kill('SIGINT');
    expect(await ended).toEqual([1, null]);
    expect(await readdir(dir)).toEqual([]);
    await waitFor('its connection to be gone', async () => {
      const open = await from.sql`select from pg_stat_activity where application_name = 'warmwind-dump'`;
      return open.length === 0;
    });
  });

  test('whose server dies half-way fails and leaves nothing', async () => {
    await fill(from.sql, 'ada', 50_000);
    const dumping = dumpLedger(from.url, file);
    dumping.catch(() => undefined);
    await waitFor('it to have begun', async () => (await readdir(dir)).length > 0, 60_000);
    await from.kill();
    await expect(dumping).rejects.toThrow();
    expect(await readdir(dir)).toEqual([]);
    await from.restart();
  });

  test('into a missing folder fails with the reason', async () => {
    const failed = await operate('dump', [join(dir, 'none', 'x.gz')], { LEDGER_URL: from.url });
    expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('ENOENT') });
  });
});

describe('a restore', () => {
  test('of a file that was truncated anywhere is refused, and nothing is restored', async () => {
    await fill(from.sql, 'ada', 2000);
    await dumpLedger(from.url, file);
    const complete = await readFile(file);
    for (const part of [0, 0.001, 0.5, 0.99]) {
      await writeFile(file, complete.subarray(0, Math.floor(complete.length * part)));
      await expect(restoreLedger(into.url, file)).rejects.toThrow('no complete dump');
    }
    // Truncated at the end of a line and compressed again: gzip accepts it.
    const lines = gunzipSync(complete).toString('utf8').split('\n');
    for (const rest of [2, 4, lines.length - 1, lines.length]) {
      await writeFile(file, gzipSync(lines.slice(0, -rest).join('\n')));
      await expect(restoreLedger(into.url, file)).rejects.toThrow('no complete dump');
    }
    for (const rows of Object.values(await contents(into.sql))) expect(rows).toEqual([]);
  });

  test('of a file that lacks a row, or has one twice, or a wrong one, is refused', async () => {
    await fill(from.sql, 'ada', 50);
    await dumpLedger(from.url, file);
    const lines = gunzipSync(await readFile(file))
      .toString('utf8')
      .split('\n');
    const row = lines.findIndex((line) => line.startsWith('ada-7\t'));
    const wrong = [
      [[], 'no complete dump'],
      [[lines[row + 1]], 'refused rows'],
      [['ada-7\tada'], 'refused rows'],
    ] as const;
    for (const [instead, reason] of wrong) {
      await writeFile(file, gzipSync(lines.toSpliced(row, 1, ...instead.map(String)).join('\n')));
      await expect(restoreLedger(into.url, file)).rejects.toThrow(reason);
    }
    for (const rows of Object.values(await contents(into.sql))) expect(rows).toEqual([]);
  });

  test('into a ledger that has rows is refused with what to do, and changes nothing', async () => {
    await fill(from.sql, 'ada', 5);
    await dumpLedger(from.url, file);
    await restoreLedger(into.url, file);
    const before = await contents(into.sql);
    expect(await restore()).toMatchObject({
      code: 2,
      err: expect.stringContaining('Create an empty database'),
    });
    expect(await contents(into.sql)).toEqual(before);
  });

  test('of an older dump loads into the schema of its time, and migrates it to the present one', async () => {
    await fill(from.sql, 'ada', 5);
    await dumpLedger(from.url, file);
    const sql =
      'alter table jobs add column notes text; update jobs set notes = kind; alter table jobs alter notes set not null';
    const newer = await moreMigrations(join(dir, 'migrations'), sql);
    await restoreLedger(into.url, file, newer);
    expect(await into.sql`select notes from jobs group by 1`).toEqual([{ notes: 'container.start' }]);
    await into.sql`truncate jobs`;
    await expect(restoreLedger(into.url, file, newer)).rejects.toThrow('Create an empty database');
  });

  test('of something else, and of a newer version, is refused', async () => {
    await writeFile(file, 'hello');
    await expect(restoreLedger(into.url, file)).rejects.toThrow('no complete dump');
    await fill(from.sql, 'ada', 1);
    await dumpLedger(from.url, file);
    const text = gunzipSync(await readFile(file)).toString('utf8');
    await writeFile(file, gzipSync(text.replace(/"migrations":\d+/, '"migrations":999')));
    await expect(restoreLedger(into.url, file)).rejects.toThrow('newer version');
    await writeFile(file, gzipSync(text.replace('"name":"jobs"', '"name":"pg_class"')));
    await expect(restoreLedger(into.url, file)).rejects.toThrow('pg_class');
  });
});

test.each(['dump', 'restore'])('%s called wrongly prints its usage', async (name) => {
  const calls = [[], ['a', 'b'], ['--nothing', 'a']];
  for (const wrong of await Promise.all(calls.map((args) => operate(name, args, { LEDGER_URL: from.url })))) {
    expect(wrong).toMatchObject({ code: 2, out: '', err: expect.stringMatching(/Usage|Unknown option/) });
  }
});
