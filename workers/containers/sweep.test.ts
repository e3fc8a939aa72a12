import { keys } from '@warmwind/shared/engine/keys';
import { readContainer } from '@warmwind/shared/engine/ledger/reads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, type Worker, waitForEvents } from '../testing/fleet.ts';
import { LABELS } from './spec.ts';

let fleet: Fleet;
let worker: Worker;
beforeAll(async () => {
  fleet = await createFleet();
  worker = await fleet.worker('a');
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

const running = async () => {
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  return start;
};

test('the sweep removes an instance without a record on this host and leaves those of other hosts', async () => {
  const create = (host: string) =>
    fleet.docker.createContainer({
      name: `ww-${fleet.fleet}-${host}-orphan`,
      Image: fleet.image,
      Labels: {
        [LABELS.fleet]: fleet.fleet,
        [LABELS.host]: host,
        [LABELS.container]: 'orphan',
        [LABELS.fence]: '1',
      },
    });
  await create('a');
  const other = await create('b');
  const kept = await running();
  await worker.sweep();
  const left = (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container]);
  expect(left.sort()).toEqual([kept.containerId, 'orphan'].sort());
  expect((await other.inspect()).Id).toBe(other.id);
  await other.remove();
});

test('a sweep without an answer of Redis removes nothing', async () => {
  const start = await running();
  fleet.queueRedis.freeze();
  const swept = worker.sweep();
  const list = await fleet.containers();
  fleet.queueRedis.thaw();
  await swept;
  expect(list.some(({ Labels }) => Labels[LABELS.container] === start.containerId)).toBe(true);
  expect(await fleet.container(start)).toMatchObject({ state: 'running' });
});

test('a desktop that exits on its own is published as failed, once, and removed', async () => {
  const start = await running();
  await fleet.docker.getContainer(await fleet.instance(start)).kill();
  await worker.sweep();
  await worker.sweep();
  expect(await fleet.container(start)).toMatchObject({ state: 'failed' });
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.failed');
  expect(room.filter(({ type }) => type === 'container.failed')).toHaveLength(1);
  const left = (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container]);
  expect(left).not.toContain(start.containerId);
});

test('a desktop whose time to live is over is stopped with the reason expired', async () => {
  const start = await running();
  await fleet.queueRedis.client.hset(
    keys.container(start.userId, start.containerId),
    'expiresAt',
    Date.now() - 1,
  );
  await worker.sweep();
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.stopped');
  expect(room.slice(-2).map(({ type, data }) => [type, 'reason' in data && data.reason])).toEqual([
    ['container.stopping', 'expired'],
    ['container.stopped', 'expired'],
  ]);
});

test('running desktops outlive their worker, and the next one keeps them', async () => {
  const start = await running();
  const placement = () =>
    fleet.queueRedis.client.hmget(keys.container(start.userId, start.containerId), 'fence', 'instanceId');
  const before = await placement();
  await worker.stop();
  worker = await fleet.worker('a');
  await waitFor(
    'the lease',
    async () => (await worker.probes.ready.lease?.().catch(() => undefined)) !== undefined,
  );
  await worker.sweep();
  expect(await fleet.container(start)).toMatchObject({ state: 'running', host: 'a' });
  expect(await placement()).toEqual(before);
  expect(
    await fleet.queueRedis.client.sismember(keys.hostContainers('a'), `${start.userId}/${start.containerId}`),
  ).toBe(1);
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
});

/** A running desktop that the ledger has recorded and Redis has then lost. */
const lostByRedis = async () => {
  const start = await running();
  const { userId, containerId } = start;
  await waitFor('the ledger to know', async () => {
    const row = await fleet.ledger.run((db) => readContainer(db, userId, containerId));
    return row?.state === 'running';
  });
  const before = await fleet.container(start);
  const instance = await fleet.instance(start);
  await fleet.queueRedis.client.del(keys.container(userId, containerId), keys.hostContainers('a'));
  return { ...start, before, instance };
};
const containerIds = async () => (await fleet.containers()).map(({ Labels }) => Labels[LABELS.container]);

test('a desktop that Redis lost is kept and its record restored when the ledger claims it', async () => {
  const start = await lostByRedis();
  await worker.sweep();
  expect(await containerIds()).toContain(start.containerId);
  expect(await fleet.container(start)).toEqual(start.before);
  expect(await fleet.queueRedis.client.smembers(keys.hostContainers('a'))).toContain(
    `${start.userId}/${start.containerId}`,
  );
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
});

test('a desktop without a record is not removed while the ledger is unavailable', async () => {
  const start = await lostByRedis();
  await fleet.postgres.kill();
  await worker.sweep();
  expect(await containerIds()).toContain(start.containerId);
  expect((await fleet.volumes()).map(({ Name }) => Name)).toContain(start.instance);
  await fleet.postgres.restart();
  await waitFor('its record to be restored', async () => {
    await worker.sweep();
    return (await fleet.container(start))?.state === 'running';
  });
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
});

test.each([
  ['another placement', { fence: 2, instance_id: 'another' }],
  ['another host', { host: 'b' }],
  ['its end', { state: 'stopped', ended_at: new Date() }],
])('a container is removed when Redis has no record and the ledger holds %s', async (_, row) => {
  const start = await lostByRedis();
  const { sql } = fleet.postgres;
  await sql`update containers set ${sql(row)} where id = ${start.containerId}`;
  await worker.sweep();
  expect(await containerIds()).not.toContain(start.containerId);
});
