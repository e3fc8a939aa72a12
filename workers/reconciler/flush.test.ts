import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '@warmwind/shared/engine/keys';
import { readContainer, readJob } from '@warmwind/shared/engine/ledger/reads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LABELS } from '../containers/spec.ts';
import { createFleet, type Fleet, killed, reached, types, waitForEvents } from '../testing/fleet.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

const QUICK = { RECONCILE_AFTER_MS: '1500' };
const known = (start: { userId: string; containerId: string }) =>
  waitFor('the ledger to know that it runs', async () => {
    const row = await fleet.ledger.run((db) => readContainer(db, start.userId, start.containerId));
    return row?.state === 'running';
  });
/** A run that ended in the ledger before the wipe has no record in Redis: the ledger shows its end. */
const ended = ({ userId, jobId }: { userId: string; jobId: string }) =>
  waitFor(
    'it to be completed',
    async () => (await fleet.ledger.run((db) => readJob(db, userId, jobId)))?.state === 'completed',
    45_000,
  );
const containerIds = async () =>
  (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container] ?? '').sort();
/** Runs that have more than one end. */
const doubleEnds = () =>
  fleet.postgres
    .sql`select job_id from job_changes where state in ('completed', 'failed', 'cancelled', 'timed_out')
    group by job_id, run having count(*) > 1`;

test.each([3, 17])(
  'after a wipe of Redis under load (seed %i) desktops are restored and queued starts run, each once',
  async (seed) => {
    const workers = [await fleet.worker('a', QUICK), await fleet.worker('b', QUICK)];
    const running = [await fleet.startDesktop(), await fleet.startDesktop()];
    for (const start of running) {
      await reached(fleet, start, 'completed');
      await known(start);
    }
    const before = await Promise.all(running.map((start) => fleet.container(start)));
    const load = await Promise.all(Array.from({ length: 6 }, () => fleet.startDesktop()));
    await sleep(seed * 20);
    await fleet.queueRedis.client.flushall();
    for (const worker of workers) await worker.sweep();

    const starts = [...running, ...load];
    for (const start of starts) {
      await ended(start);
      await waitFor('its desktop to run', async () => (await fleet.container(start))?.state === 'running');
    }
    expect(await Promise.all(running.map((start) => fleet.container(start)))).toEqual(before);
    for (const worker of workers) await worker.sweep();
    await waitFor('one container each', async () => {
      const wanted = starts.map(({ containerId }) => containerId).sort();
      return JSON.stringify(await containerIds()) === JSON.stringify(wanted);
    });
    for (const start of load) {
      const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.started');
      expect(types(room).filter((type) => type === 'container.started')).toHaveLength(1);
    }

    // The periodic tasks are restored, and new work runs and publishes its events.
    await waitFor('the schedule', () => fleet.queue('cleanup').getJobScheduler('lost-hosts'));
    const stop = await fleet.stopDesktop(running[0] as (typeof running)[0]);
    await reached(fleet, stop, 'completed');
    await waitForEvents(fleet, stop, `job:${stop.jobId}`, 'job.completed');
    expect(await doubleEnds()).toEqual([]);
  },
  90_000,
);

test('a host that dies during a wipe of Redis is still declared lost', async () => {
  const more = { ...QUICK, LOST_AFTER_MS: '4000' };
  const first = fleet.process('a', more);
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  await known(start);
  await fleet.worker('b', more);
  await killed(first);
  await fleet.queueRedis.client.flushall();
  await waitFor('it to be lost', async () => (await fleet.container(start))?.state === 'lost', 30_000);
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.lost');
  expect(types(room).filter((type) => type === 'container.lost')).toHaveLength(1);
  await waitFor('the host to be forgotten', async () => {
    return (await fleet.queueRedis.client.zscore(keys.hosts(), 'a')) === null;
  });
}, 60_000);
