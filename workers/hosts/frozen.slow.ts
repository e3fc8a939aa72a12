import { screenKeys } from '@warmwind/shared/contract/screen';
import { callKeys, keys, sessionKeys } from '@warmwind/shared/engine/keys';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, killed, reached } from '../testing/fleet.ts';

/** No lease and no lock expires while a test runs. */
const ONLY_BEATS = {
  DEAD_AFTER_MS: '1000',
  LEASE_MS: '600000',
  LOCK_MS: '600000',
  STALLED_EVERY_MS: '600000',
};

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

const holder = () => fleet.queueRedis.client.get(keys.hostLease('a'));
const beating = () => fleet.queueRedis.client.zcard(keys.processBeats());

test('a frozen worker loses its host to the next process, and serves its desktops no more when it thaws', async () => {
  const first = fleet.process('a', ONLY_BEATS);
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  const { containerId } = start;
  const before = await holder();
  const second = fleet.process('a', ONLY_BEATS);
  await waitFor('both to beat', async () => (await beating()) === 2);
  const channels = [callKeys.inbox(containerId), sessionKeys.up(containerId), screenKeys.up(containerId)];
  const served = async () => {
    const counts = await fleet.realtime.client.call('PUBSUB', 'SHARDNUMSUB', ...channels);
    return (counts as (string | number)[]).filter((_, i) => i % 2 === 1).map(Number);
  };
  await waitFor('the first to serve it', async () => (await served()).every((count) => count === 1));

  first.kill('SIGSTOP');
  await waitFor('the second to hold the host', async () => ![null, before].includes(await holder()), 30_000);
  const after = await holder();
  await waitFor('both to be subscribed', async () => (await served()).every((count) => count === 2), 30_000);
  first.kill('SIGCONT');
  await waitFor(
    'the first to have forgotten it',
    async () => (await served()).every((count) => count === 1),
    30_000,
  );
  await waitFor('the first to beat again', async () => (await beating()) === 2, 30_000);
  expect(await holder()).toBe(after);
  expect(await fleet.container(start)).toMatchObject({ state: 'running' });
  await killed(second);
  await waitFor('the first to hold its host again', async () => (await holder()) === before, 30_000);
  await reached(fleet, await fleet.stopDesktop(start), 'completed', 30_000);
});

test('kill -9 in a start, a stop and a program: a peer makes the start, the host’s next process the others', async () => {
  const first = fleet.process('a', ONLY_BEATS);
  const [stopped, used] = [await fleet.startDesktop(), await fleet.startDesktop()];
  await reached(fleet, stopped, 'completed');
  await reached(fleet, used, 'completed');
  const program = await fleet.exec(used, { cmd: ['sh', '-c', 'sleep 8; echo done'] });
  await reached(fleet, program, 'active');
  fleet.process('b', ONLY_BEATS);
  await waitFor('both to beat', async () => (await beating()) === 2);
  const start = await fleet.startDesktop();
  const stop = await fleet.stopDesktop(stopped);
  await killed(first);
  await reached(fleet, start, 'completed', 30_000);
  fleet.process('a', ONLY_BEATS);
  await reached(fleet, stop, 'completed', 30_000);
  const ended = await reached(fleet, program, 'completed', 30_000);
  expect(ended).toMatchObject({ result: { exitCode: 0, stdout: 'done\n' } });
  for (const job of [start, stop, program]) expect(await fleet.job(job)).toMatchObject({ attemptsMade: 1 });
});
