import { newId } from '@warmwind/shared/contract/ids';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet } from '../testing/fleet.ts';
import { instanceName } from './spec.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

test('the sweep removes volumes that lost their labels when the engine was killed, and no other', async () => {
  const prefix = instanceName(fleet.fleet, 'a', '');
  const ours = [newId(), `${newId()}-terminals`].map((name) => prefix + name);
  const others = [`${prefix}b-${newId()}`, `${prefix}name`, newId()];
  try {
    for (const Name of [...ours, ...others]) await fleet.docker.createVolume({ Name });
    const worker = await fleet.worker('a');
    const found = async () => {
      const all = (await fleet.docker.listVolumes()).Volumes ?? [];
      return all.flatMap(({ Name }) => ([...ours, ...others].includes(Name) ? [Name] : []));
    };
    const swept = async () => {
      await worker.sweep();
      return (await found()).length === others.length;
    };
    await waitFor('the sweep', swept, 25_000);
    expect((await found()).sort()).toEqual(others.sort());
  } finally {
    for (const name of [...ours, ...others]) {
      await fleet.docker
        .getVolume(name)
        .remove()
        .catch(() => undefined);
    }
  }
});
