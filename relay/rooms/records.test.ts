import { jobRow } from '@warmwind/shared/engine/ledger/rows';
import { recordSubmission } from '@warmwind/shared/engine/ledger/submissions';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../../infra/quality/testing/postgres.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { collect, connected, subscribe, ticket, World } from '../testing/world.ts';

let world: World;
let postgres: TestPostgres;

beforeAll(async () => {
  [world, postgres] = await Promise.all([World.start(), startPostgres({ migrated: true })]);
});
afterEach(() => world.tidy());
afterAll(() => Promise.all([world?.stop(), postgres?.stop()]));

/** A job that only the ledger knows. */
async function remembered(user: string, id: string, fields: Record<string, string>): Promise<void> {
  const record = { id, kind: 'container.start', createdAt: '1000', containerId: 'c', ...fields };
  const ledger = new Ledger(postgres.url, 'test', createLog('test'));
  const submission = { job: jobRow(user, record), containers: [], idempotency: undefined };
  await ledger.run((db) => recordSubmission(db, submission));
  await ledger.close();
}

test('the room of a job that only the ledger has opens to its owner alone, with a snapshot', async () => {
  const { url } = await world.node({ LEDGER_URL: postgres.url });
  const times = { startedAt: '2000', finishedAt: '3000' };
  await remembered('ann', 'old', { state: 'completed', result: '{"a":1}', ...times });
  const socket = world.client(url, await ticket('ann'));
  const events = collect(socket);
  await connected(socket);
  expect(await subscribe(socket, 'job:old')).toEqual({ ok: true, truncated: true });
  const snapshot = await waitFor('the snapshot', () => events.find(({ type }) => type === 'job.snapshot'));
  expect(snapshot.data).toMatchObject({ id: 'old', state: 'completed', result: { a: 1 } });
  expect(await subscribe(socket, 'job:older')).toMatchObject({ ok: false, code: 'not_found' });

  const other = world.client(url, await ticket('mallory'));
  await connected(other);
  expect(await subscribe(other, 'job:old')).toMatchObject({ ok: false, code: 'not_found' });
});

test('while the ledger is away a room that Redis does not have is unavailable, not unknown', async () => {
  const { url } = await world.node({ LEDGER_URL: postgres.url });
  const known = await world.job('ann');
  const socket = world.client(url, await ticket('ann'));
  await connected(socket);
  await postgres.kill();
  try {
    expect(await subscribe(socket, 'job:forgotten')).toMatchObject({ ok: false, code: 'unavailable' });
    expect(await subscribe(socket, `job:${known}`)).toMatchObject({ ok: true });
  } finally {
    await postgres.restart();
  }
});
