import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';
import { instanceName, LABELS } from './spec.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

type Row = { id: string; state: string; removed_at: Date | null };
const rows = () => fleet.postgres.sql<Row[]>`select id, state, removed_at from volumes order by id`;
const states = async () => Object.fromEntries((await rows()).map(({ id, state }) => [id, state]));
const names = () => fleet.socketVolumes();

/** A record of a volume of host `a`, made this many seconds ago. */
const record = (id: string, containerId: string, ageS: number) =>
  fleet.postgres.sql`insert into volumes ${fleet.postgres.sql({
    ...{ id, user_id: 'ann', container_id: containerId, host: 'a', kind: 'screen', state: 'present' },
    ...{ size_bytes: 1, created_at: new Date(Date.now() - ageS * 1000) },
  })}`;
const createVolume = (id: string) =>
  fleet.docker.createVolume({
    Name: instanceName(fleet.fleet, 'a', id),
    Labels: { [LABELS.fleet]: fleet.fleet, [LABELS.host]: 'a', [LABELS.instance]: id },
  });

test('the volume of a container is recorded with its owner, host, kind and size until it is removed', async () => {
  await fleet.worker('a');
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  const [row, ...more] = await fleet.postgres.sql`select * from volumes`;
  expect(more).toEqual([]);
  expect(row).toMatchObject({
    user_id: start.userId,
    container_id: start.containerId,
    host: 'a',
    kind: 'screen',
    state: 'present',
    removed_at: null,
  });
  expect(Number(row?.size_bytes)).toBe(2 ** 20);
  expect(await names()).toEqual([instanceName(fleet.fleet, 'a', String(row?.id))]);
  // The other volume is that of its terminals.
  const instances = (await fleet.volumes()).map(({ Labels }) => Labels?.[LABELS.instance]);
  expect(instances).toEqual([row?.id, row?.id]);
  await reached(fleet, await fleet.stopDesktop(start), 'completed');
  expect(await rows()).toMatchObject([{ id: row?.id, state: 'removed', removed_at: expect.any(Date) }]);
});

test('a failed start leaves no volume, and its record is removed', async () => {
  await fleet.worker('a');
  await reached(fleet, await fleet.startDesktop({ image: 'warmwind/none:such' }), 'failed');
  expect(await rows()).toMatchObject([{ state: 'removed' }]);
  expect(await names()).toEqual([]);
});

test('the sweep reconciles the volumes of the engine with their records', async () => {
  await record('gone', 'c1', 120);
  await record('on-its-way', 'c2', 1);
  await record('of-none', '', 120);
  await record('of-an-ended', 'c3', 120);
  for (const id of ['of-none', 'of-an-ended', 'of-no-record']) await createVolume(id);
  const worker = await fleet.worker('a');
  const kept = instanceName(fleet.fleet, 'a', 'of-none');
  await waitFor('the sweep', async () => {
    await worker.sweep();
    return (await states()).gone === 'removed' && (await names()).join() === kept;
  });
  // The sweep also records the removal of a volume that it removed.
  await waitFor('its record', async () => {
    await worker.sweep();
    return (await states())['of-an-ended'] === 'removed';
  });
  expect((await fleet.volumes()).map(({ Name }) => Name)).toEqual([kept]);
  expect(await states()).toMatchObject({ 'on-its-way': 'present', 'of-none': 'present' });
});
