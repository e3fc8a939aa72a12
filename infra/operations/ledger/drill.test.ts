import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { keys } from '@warmwind/shared/engine/keys';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { containers, jobs } from '@warmwind/shared/engine/ledger/schema';
import type { JobRef } from '@warmwind/shared/engine/node/records';
import { drizzle } from 'drizzle-orm/postgres-js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startPostgres, type TestPostgres } from '../../quality/testing/postgres.ts';
import { operate, ownFolder, type Servers, startServers } from './testing.ts';

// Commands are processes of their own, which a busy machine starts slowly.
vi.setConfig({ testTimeout: 120_000 });

let servers: Servers;
let fresh: TestPostgres;
let dir: string;
beforeAll(async () => {
  [servers, fresh] = await Promise.all([startServers(), startPostgres()]);
  dir = await ownFolder();
});
afterAll(async () => {
  await Promise.all([servers?.stop(), fresh?.stop()]);
  await rm(dir, { recursive: true, force: true });
});

const end = async (ref: JobRef) => {
  await servers.records.containers.change(ref, { to: 'stopped', fence: 0 });
  await servers.records.jobs.end(ref, { state: 'cancelled' });
};

test('a lost ledger is restored from an older dump, and reconciling adds the records that Redis still has', async () => {
  const { start, records, drain, env } = servers;
  const file = join(dir, 'ledger.gz');
  const [forgotten, later, waiting] = [await start('ada'), await start('ada'), await start('bob')];
  await end(forgotten);
  while ((await drain.once()) > 0);
  // Redis forgets ended jobs after a day.
  await servers.queue.client.unlink(
    keys.job('ada', forgotten.jobId),
    keys.container('ada', forgotten.containerId),
  );
  expect(await operate('dump', [file], env)).toMatchObject({ code: 0 });

  const after = [await start('ada'), await start('bob'), await start('bob')] as const;
  await end(later);
  await end(after[0]);
  await records.jobs.claim(after[1], 0);
  while ((await drain.once()) > 0);
  await end(after[2]);
  await servers.postgres.kill();

  const recovered = { ...env, LEDGER_URL: fresh.url };
  expect(await operate('restore', [file], recovered)).toMatchObject({ code: 0 });
  const { code, out } = await operate('reconcile', [], recovered);
  expect({ code, out }).toMatchObject({ code: 0, out: expect.stringMatching(/ {2}recorded +[1-9]/) });

  const db = drizzle(fresh.sql);
  const rows = { jobs: await db.select().from(jobs), containers: await db.select().from(containers) };
  const known = [later, waiting, ...after];
  expect(rows.jobs.map(({ id }) => id).sort()).toEqual(
    [forgotten, ...known].map(({ jobId }) => jobId).sort(),
  );
  const { client } = servers.queue;
  for (const { userId, jobId, containerId } of known) {
    const job = jobRow(userId, await client.hgetall(keys.job(userId, jobId)));
    expect(rows.jobs).toContainEqual(job);
    const desktop = containerRow(userId, await client.hgetall(keys.container(userId, containerId)));
    // A container that ran and ended needs its spec no more, and a late record of it has none.
    const row = rows.containers.find(({ id }) => id === containerId);
    expect(row).toEqual(desktop.endedAt ? { ...desktop, spec: expect.anything() } : desktop);
  }
  expect(rows.jobs.find(({ id }) => id === forgotten.jobId)).toMatchObject({ state: 'cancelled' });

  // The second run finds nothing to do.
  const again = await operate('reconcile', [], recovered);
  expect(again.out.match(/\d+/g)).toEqual(['0', '0', '0', '0']);
});

test('reconcile without its servers names the missing one', async () => {
  expect(await operate('reconcile', [], {})).toMatchObject({
    code: 2,
    err: expect.stringContaining('Set LEDGER_URL'),
  });
  const away = { ...servers.env, LEDGER_URL: 'postgres://u:secret@127.0.0.1:1/x' };
  const { code, err } = await operate('reconcile', [], away);
  expect({ code, err }).toMatchObject({
    code: 1,
    err: expect.stringContaining('The ledger does not answer'),
  });
  expect(err).not.toContain('secret');
});
