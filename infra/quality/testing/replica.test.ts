import { afterEach, beforeEach, expect, it } from 'vitest';
import { startReplicated, type TestReplicated } from './replica.ts';
import { waitFor } from './wait.ts';

let servers: TestReplicated;
beforeEach(async () => {
  servers = await startReplicated();
  await servers.primary.sql`create table seen (at int)`;
  await servers.synced();
});
afterEach(() => servers.stop());

const add = (at: number) => servers.primary.sql`insert into seen values (${at})`;
const seen = async () =>
  (await servers.replica.sql<{ at: number }[]>`select at from seen order by at`).map(({ at }) => at);

it('the replica shows the primary’s rows, refuses writes, and lags and pauses on request', async () => {
  await add(1);
  await servers.synced();
  expect(await seen()).toEqual([1]);
  await expect(servers.replica.sql`insert into seen values (9)`).rejects.toThrow('read-only');

  await servers.lag(3_600_000);
  await add(2);
  expect(await seen()).toEqual([1]);
  await servers.lag(0);
  await servers.synced();

  await servers.pause();
  await add(3);
  expect(await seen()).toEqual([1, 2]);
  await servers.resume();
  await servers.synced();
  expect(await seen()).toEqual([1, 2, 3]);
});

it('after a restart of either server the replica catches up', async () => {
  await servers.replica.kill();
  await add(1);
  await servers.replica.restart();
  await servers.synced();
  await servers.primary.kill();
  expect(await seen()).toEqual([1]);
  await servers.primary.restart();
  await add(2);
  await servers.synced();
  expect(await seen()).toEqual([1, 2]);
});

it('a promoted replica accepts writes and keeps its rows', async () => {
  await add(1);
  await servers.synced();
  await servers.primary.kill();
  await servers.promote();
  await waitFor('the promoted replica to accept writes', async () => {
    const [row] = await servers.replica.sql<{ follows: boolean }[]>`select pg_is_in_recovery() as follows`;
    return row?.follows === false;
  });
  await servers.replica.sql`insert into seen values (2)`;
  expect(await seen()).toEqual([1, 2]);
});
