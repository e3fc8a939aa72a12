import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFleet, type Fleet, reached, waitForEvents } from '../../../workers/testing/fleet.ts';
import { ENGINE_WITHIN_MS } from '../../quality/testing/docker.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { operate } from './testing.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

test('forgetting a user stops their desktop and their waiting start, and nothing of another user', async () => {
  await fleet.worker('h1', { CONTAINERS_CONCURRENCY: '2' });
  const [hers, his] = [await fleet.startDesktop({}, 'ada'), await fleet.startDesktop({}, 'bob')];
  await reached(fleet, hers, 'completed');
  await reached(fleet, his, 'completed');
  await waitForEvents(fleet, his, `job:${his.jobId}`, 'job.completed');
  const starting = await fleet.startDesktop({}, 'ada');
  const waiting = await fleet.startDesktop({}, 'ada');
  expect(await fleet.containers()).not.toHaveLength(0);

  const { LEDGER_URL, REDIS_QUEUE_URL, REDIS_REALTIME_URL } = fleet.env('h1');
  const env = { LEDGER_URL, REDIS_QUEUE_URL, REDIS_REALTIME_URL };
  const { code, out, err } = await operate('forget', ['ada', '--yes'], env);
  expect({ code, out, err }).toMatchObject({
    code: 0,
    err: '',
    out: expect.stringContaining('Nothing is left'),
  });

  await waitFor('only his desktop to be there', async () => {
    const names = (await fleet.containers()).flatMap(({ Names }) => Names);
    return names.length === 1 && names[0] === `/${await fleet.instance(his)}`;
  });
  for (const { jobId, containerId } of [hers, starting, waiting]) {
    expect(await fleet.queueRedis.client.exists(keys.job('ada', jobId))).toBe(0);
    expect(await fleet.queueRedis.client.exists(keys.container('ada', containerId))).toBe(0);
  }
  expect(await fleet.container(his)).toMatchObject({ state: 'running' });
  expect(await operate('forget', ['ada'], env)).toMatchObject({
    code: 0,
    out: expect.stringMatching(/ {2}jobs +0\n/),
  });
}, 120_000);
