import { readContainer, readJob } from '@warmwind/shared/engine/ledger/reads';
import { readUsage } from '@warmwind/shared/engine/ledger/usage';
import { checkHealth } from '@warmwind/shared/runtime/health';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import {
  createFleet,
  type Fleet,
  killed,
  reached,
  types,
  type Worker,
  waitForEvents,
} from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

const job = ({ userId, jobId }: Submitted) => fleet.ledger.run((db) => readJob(db, userId, jobId));
const desktop = ({ userId, containerId }: Submitted) =>
  fleet.ledger.run((db) => readContainer(db, userId, containerId));
const ledgerIs = (worker: Worker, status: string) =>
  waitFor(`a ledger that is ${status}`, async () => {
    const { ledger } = (await checkHealth(worker.probes.ready)).details;
    return ledger?.status === status;
  });

test.each(['gone', 'silent'])(
  'while PostgreSQL is %s desktops run and stop, starts wait, and the ledger has all of it afterwards',
  async (how) => {
    const worker = await fleet.worker('a');
    const [kept, stopped] = [await fleet.startDesktop(), await fleet.startDesktop()];
    for (const start of [kept, stopped]) await reached(fleet, start, 'completed');
    await ledgerIs(worker, 'up');

    if (how === 'gone') await fleet.postgres.kill();
    else fleet.postgres.freeze();
    await ledgerIs(worker, 'down');
    const stop = await fleet.stopDesktop(stopped, false);
    await reached(fleet, stop, 'completed');
    expect(await fleet.container(stopped)).toMatchObject({ state: 'stopped' });
    const waits = await fleet.startDesktop({}, 'ada', false);
    await waitFor('it to be tried', async () => (await fleet.job(waits))?.startedAt !== undefined);
    await waitFor('it to wait', async () => (await fleet.queue('containers').getDelayedCount()) === 1);
    await worker.sweep();
    expect(await fleet.container(kept)).toMatchObject({ state: 'running' });
    expect(await fleet.containers()).toHaveLength(1);
    expect(await fleet.job(waits)).toMatchObject({ state: 'queued', attemptsMade: 0 });

    if (how === 'gone') await fleet.postgres.restart();
    else fleet.postgres.thaw();
    expect(await reached(fleet, waits, 'completed')).toMatchObject({ attemptsMade: 1 });
    await ledgerIs(worker, 'up');
    await waitFor('the starts in the ledger', async () => (await job(waits))?.state === 'completed');
    await waitFor('the stop in the ledger', async () => (await job(stop))?.state === 'completed');
    await waitFor('the end in the ledger', async () => (await desktop(stopped))?.state === 'stopped');
    await waitFor('the desktop in the ledger', async () => (await desktop(waits))?.state === 'running');
    expect((await desktop(waits))?.spec).toMatchObject({ memoryMb: 256 });
    const ends = types(await waitForEvents(fleet, waits, `job:${waits.jobId}`, 'job.completed'));
    expect(ends.filter((type) => type === 'job.retrying')).toEqual([]);
    expect(await fleet.containers()).toHaveLength(2);
  },
  60_000,
);

test('a start that waits for PostgreSQL publishes one job.active, however often it is delivered', async () => {
  await fleet.worker('a');
  await reached(fleet, await fleet.startDesktop(), 'completed');
  await fleet.postgres.kill();
  const first = await fleet.startDesktop({}, 'ada', false);
  await waitFor('it to be tried', async () => (await fleet.job(first))?.startedAt !== undefined);
  await waitFor('it to wait', async () => (await fleet.queue('containers').getDelayedCount()) === 1);
  const entry = await fleet.queue('containers').getJob(first.jobId);
  for (let again = 0; again < 3; again++) {
    await entry?.promote();
    await waitFor('it to wait again', async () => (await entry?.getState()) === 'delayed');
  }
  const events = types(await fleet.events('ada', `job:${first.jobId}`));
  expect(events.filter((type) => type === 'job.active')).toHaveLength(1);
  await fleet.postgres.restart();
  await reached(fleet, first, 'completed');
});

test('a successor of a killed ledger leader loses no row and counts no usage twice', async () => {
  const first = fleet.process('a');
  const starts = [await fleet.startDesktop({}, 'ada')];
  await reached(fleet, starts[0] as Submitted, 'completed');
  const leader = () => fleet.queueRedis.client.get('ww:{ledger}:lease');
  const before = await waitFor('a leader of the ledger', leader);
  await fleet.worker('b');
  for (let i = 0; i < 4; i++) starts.push(await fleet.startDesktop({}, 'ada'));
  await waitFor('work', async () => (await fleet.job(starts[2] as Submitted))?.state !== 'queued');
  await killed(first);
  await waitFor('a successor', async () => {
    const now = await leader();
    return now !== null && now !== before;
  });
  for (const start of starts) await reached(fleet, start, 'completed', 45_000);
  for (const start of starts) {
    await waitFor('its end in the ledger', async () => (await job(start))?.state === 'completed');
    await waitFor('its desktop in the ledger', async () => (await desktop(start))?.state === 'running');
  }
  const usage = await fleet.ledger.run((db) => readUsage(db, 'ada', '2000-01-01', '2100-01-01', new Date()));
  expect(usage.reduce((sum, day) => sum + day.jobs, 0)).toBe(starts.length);
  const ends = await fleet.postgres.sql`select job_id from job_changes where state = 'completed'`;
  expect(ends).toHaveLength(starts.length);
}, 90_000);
