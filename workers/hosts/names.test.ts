import { keys } from '@warmwind/shared/engine/keys';
import { readJob } from '@warmwind/shared/engine/ledger/reads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LABELS } from '../containers/spec.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

/** Names of users that are also names of a host, queues or keys. */
const NAMESAKES = ['host:a', 'containers', 'containers-a', 'hosts', 'ledger'];

test('users named like a host, a queue or a key start and stop desktops as other users do', async () => {
  const worker = await fleet.worker('a');
  const desktops = [];
  for (const user of [...NAMESAKES, 'ada']) desktops.push(await fleet.startDesktop({}, user));
  for (const desktop of desktops) await reached(fleet, desktop, 'completed');
  await worker.sweep();
  for (const desktop of desktops) await reached(fleet, await fleet.stopDesktop(desktop), 'completed');
  expect(await fleet.containers()).toEqual([]);
}, 60_000);

test('a store with keys of wrong types from an earlier release is migrated, and serves all users', async () => {
  const { client } = fleet.queueRedis;
  await client.zadd('ww:{host:a}:containers', Date.now(), 'c1');
  await client.zadd('ww:{host:a}:jobs', Date.now(), 'j1');
  await client.hset('ww:{host:a}:container:c1', { id: 'c1', state: 'stopped', fence: '1' });
  await fleet.worker('a');
  const [mine, theirs] = [await fleet.startDesktop(), await fleet.startDesktop({}, 'host:a')];
  for (const desktop of [mine, theirs]) await reached(fleet, desktop, 'completed');
  await waitFor('its records to have moved', async () => (await client.keys('ww:{host:a}:*')).length === 2);
  expect(await client.type(keys.hostContainers('a'))).toBe('set');
  expect(await client.hget(keys.container('host:a', 'c1'), 'state')).toBe('stopped');
  expect(await client.zrange(keys.containers('host:a'), '0', '-1')).toEqual(['c1', theirs.containerId]);
}, 60_000);

test('unreadable records are counted, and stop neither sweep, drain, reconcile nor cancellations', async () => {
  const { client } = fleet.queueRedis;
  const worker = await fleet.worker('a');
  const bad = await fleet.startDesktop({}, 'bad');
  await reached(fleet, bad, 'completed');
  for (const key of [
    keys.container('bad', bad.containerId),
    keys.job('bad', bad.jobId),
    keys.changes('bad'),
  ]) {
    await client.set(key, 'of another type');
  }
  await client.zadd(keys.changedUsers(), 0, 'bad');
  await client.zadd(keys.cancellations(), 0, `bad/${bad.jobId}`);

  const good = await fleet.startDesktop();
  await reached(fleet, good, 'completed');
  await waitFor('the ledger to know', async () => {
    const row = await fleet.ledger.run((db) => readJob(db, good.userId, good.jobId));
    return row?.state === 'completed';
  });
  await client.hset(keys.container(good.userId, good.containerId), 'expiresAt', Date.now() - 1);
  await worker.sweep();
  expect(await fleet.container(good)).toMatchObject({ state: 'stopped' });
  const left = (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container]);
  expect(left).toEqual([bad.containerId]);

  const waits = await fleet.startDesktop({ image: 'none' }, 'ada');
  await fleet.cancel(waits, { unheard: true });
  await waitFor('its cancellation to be completed', async () => {
    const markers = await client.zrange(keys.cancellations(), '0', '-1');
    return !markers.includes(`ada/${waits.jobId}`);
  });
  const skipped = async () =>
    (await worker.probes.registry.getMetricsAsJSON()).find(({ name }) => name.includes('records_skipped'));
  const parts = () => skipped().then((metric) => metric?.values.map(({ labels }) => labels.part).sort());
  await waitFor('all parts to have counted it', async () => {
    const counted = await parts();
    return ['cancellations', 'drain', 'reconcile', 'sweep'].every((part) => counted?.includes(part));
  });
}, 60_000);
