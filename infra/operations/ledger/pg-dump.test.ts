import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';

import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { startPostgres } from '../../quality/testing/postgres.ts';
import {
  hasSystemPostgres,
  type SystemPostgres,
  startSystemPostgres,
} from '../../quality/testing/system-postgres.ts';
import { migrateLedger } from './migrate.ts';
import { findProgram } from './programs.ts';
import { restorePgDump } from './restore.ts';
import { contents, fill, moreMigrations, onlyNode, operate, ownFolder } from './testing.ts';

// Commands are processes of their own, which a busy machine starts slowly.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const program = await findProgram('pg_dump');
const server = program && hasSystemPostgres(program.major) ? program.major : undefined;

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await ownFolder();
  file = join(dir, 'ledger.dump');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe.skipIf(server === undefined)('with a server and programs of one version', () => {
  let system: SystemPostgres;
  let databases = 0;
  let url: string;
  let sql: postgres.Sql;
  const open: postgres.Sql[] = [];
  const connect = (to: string) => {
    const made = postgres(to, { max: 1, onnotice: () => undefined });
    open.push(made);
    return made;
  };
  const empty = () => system.database(`ledger_${databases++}`);

  beforeAll(async () => {
    system = await startSystemPostgres(server ?? 0);
  });
  afterAll(() => system?.stop());
  beforeEach(async () => {
    url = await empty();
    expect(await migrateLedger(url, 60_000)).toBe(true);
    sql = connect(url);
    await fill(sql, 'ada', 500);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.end({ timeout: 0 })));
  });

  const dump = (env = { LEDGER_URL: url }) => operate('dump', [file], env);

  test('the ledger is dumped by pg_dump and restored by pg_restore with every table equal', async () => {
    const dumped = await dump();
    expect(dumped).toMatchObject({ code: 0, out: expect.stringContaining(`by pg_dump ${server}`) });
    expect((await readFile(file)).toString('latin1', 0, 5)).toBe('PGDMP');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['ledger.dump']);

    const into = await empty();
    const restored = await operate('restore', [file], { LEDGER_URL: into });
    expect(restored).toMatchObject({ code: 0, out: expect.stringContaining('ledger:reconcile') });
    expect(await contents(connect(into))).toEqual(await contents(sql));
  });

  test('a dump that fails keeps the file of the last one, and prints no password', async () => {
    await dump();
    const kept = await readFile(file);
    // The table is locked for longer than the dump waits.
    await sql.begin(async (tx) => {
      await tx`lock table jobs in access exclusive mode`;
      const failed = await dump();
      expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('pg_dump failed') });
      expect(failed.err + failed.out).not.toContain(new URL(url).password);
    });
    expect(await readFile(file)).toEqual(kept);
    expect(await readdir(dir)).toEqual(['ledger.dump']);
  });

  test('a truncated dump is refused and nothing of it is restored', async () => {
    await dump();
    const complete = await readFile(file);
    const into = await empty();
    for (const part of [0.5, 0.9]) {
      await writeFile(file, complete.subarray(0, Math.floor(complete.length * part)));
      expect((await operate('restore', [file], { LEDGER_URL: into })).code).toBeGreaterThan(0);
    }
    expect(await connect(into)`select from information_schema.tables where table_schema = 'public'`).toEqual(
      [],
    );
  });

  test('a database that is not empty is refused with the remedy, and stays as it is', async () => {
    await dump();
    const before = await contents(sql);
    const refused = await operate('restore', [file], { LEDGER_URL: url });
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('Create an empty database') });
    expect(await contents(sql)).toEqual(before);
  });

  test('an older dump is brought up to date, and a newer one is refused', async () => {
    await dump();
    const newer = await moreMigrations(join(dir, 'migrations'), 'alter table jobs add column notes text');
    const into = await empty();
    await restorePgDump(into, file, newer);
    expect(await connect(into)`select notes from jobs group by 1`).toEqual([{ notes: null }]);

    await dump({ LEDGER_URL: into });
    const refused = await operate('restore', [file], { LEDGER_URL: await empty() });
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('newer version') });
  });

  test('a ledger that a service has migrated takes the dump as long as it has no rows', async () => {
    await dump();
    const into = await empty();
    expect(await migrateLedger(into, 60_000)).toBe(true);
    expect(await operate('restore', [file], { LEDGER_URL: into })).toMatchObject({ code: 0, err: '' });
    expect(await contents(connect(into))).toEqual(await contents(sql));
  });

  test('without pg_restore its dump is refused with how to install it', async () => {
    await dump();
    const refused = await operate('restore', [file], {
      LEDGER_URL: await empty(),
      PATH: await onlyNode(dir),
    });
    expect(refused).toMatchObject({
      code: 2,
      err: expect.stringContaining(`postgresql-client-${server}`),
    });
  });
});

test('where pg_dump is missing the ledger is dumped in its own format, and the output names how to install pg_dump', async () => {
  const own = await startPostgres({ migrated: true });
  const env = { LEDGER_URL: own.url, PATH: await onlyNode(dir) };
  expect(await operate('dump', [file], env)).toMatchObject({
    code: 0,
    out: expect.stringMatching(/pg_dump is not installed.*version \d+ or later/),
  });
  expect((await readFile(file)).subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]));
  expect(await operate('dump', [file, '--format', 'custom'], env)).toMatchObject({ code: 2 });
  await own.stop();
});
