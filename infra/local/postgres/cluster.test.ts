import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startPostgres } from '../../quality/testing/postgres.ts';
import { ensureAccount } from './account.ts';
import { ensureCluster } from './cluster.ts';

let parent: string;
beforeEach(() => {
  // Mode 0700, as the stack's own folder: only its owner may enter.
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'warmwind-cluster-')));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

it('a cluster is made where only the owner of the folder may enter, and belongs to the server’s user', async () => {
  const data = join(parent, 'data');
  await ensureCluster(data, { password: 'secret', fast: true });
  expect(statSync(data).mode & 0o777).toBe(0o700);
  expect(statSync(join(data, 'PG_VERSION')).uid).toBe(ensureAccount()?.uid ?? process.getuid?.());
});

it('the remains of a killed first start are replaced', async () => {
  const data = join(parent, 'data');
  mkdirSync(`${data}.new/base`, { recursive: true });
  writeFileSync(`${data}.new/PG_VERSION`, '');
  await ensureCluster(data, { password: 'secret', fast: true });
  expect(statSync(join(data, 'PG_VERSION')).size).toBeGreaterThan(0);
});

it('a killed server restarts on its port with its data', async () => {
  const server = await startPostgres();
  try {
    await server.sql`create table kept (at int)`;
    await server.sql`insert into kept values (7)`;
    await server.kill();
    await expect(server.sql`select 1`).rejects.toThrow();
    await server.restart();
    expect(await server.sql`select at from kept`).toEqual([{ at: 7 }]);
  } finally {
    await server.stop();
  }
});

it('a frozen server does not answer, and continues when it is thawed', async () => {
  const server = await startPostgres();
  try {
    await server.sql`select 1`;
    server.freeze();
    let answered = false;
    const answer = server.sql`select 1 as one`.then((rows) => {
      answered = true;
      return rows;
    });
    const stranger = postgres(server.url, { max: 1, connect_timeout: 1 });
    await expect(stranger`select 1`).rejects.toThrow('CONNECT_TIMEOUT');
    expect(answered).toBe(false);
    server.thaw();
    expect(await answer).toEqual([{ one: 1 }]);
  } finally {
    await server.stop();
  }
});

it('its role may use its database, and no program of the machine', async () => {
  const server = await startPostgres();
  try {
    await expect(server.sql`select pg_read_file('/etc/passwd')`).rejects.toThrow('permission denied');
    await expect(server.sql`copy (select 1) to program 'true'`).rejects.toThrow('permission denied');
    const superuser = postgres(server.url.replace('//warmwind', '//postgres'), { max: 1 });
    await expect(superuser`select 1`).rejects.toThrow('password authentication failed');
    await superuser.end({ timeout: 0 });
  } finally {
    await server.stop();
  }
});
