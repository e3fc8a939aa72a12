import { setTimeout as sleep } from 'node:timers/promises';
import { HOST_AWAY, screenKeys } from '@warmwind/shared/contract/screen';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { TestHost } from '../testing/host.ts';
import { type Watcher, watch } from '../testing/watcher.ts';
import { metric, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

async function desktop() {
  const { url } = await world.node();
  const id = await world.container('ann', { state: 'running' });
  const host = await TestHost.start(world, id, 1000);
  return { url, id, host };
}
const press = ({ socket }: Watcher, containerId: string, keysym: number, down = true) =>
  socket.emit('vnc:input', { containerId, input: { t: 'key', keysym, down } });
const picture = (viewer: Watcher, count = 1) =>
  waitFor('the picture', () => viewer.seen.filter(({ kind }) => kind === 'key').length === count);
const frozen = (viewer: Watcher) => waitFor('the picture to be frozen', () => viewer.gone.length === 1);

test('a picture at rest is not reported as frozen', async () => {
  const { url, id } = await desktop();
  const viewer = await watch(world, url, id);
  await picture(viewer);
  await sleep(3 * LIMITS.hostsMs);
  expect([viewer.gone, viewer.story()]).toEqual([[], ['key 0']]);
});

test('viewers are notified when the host leaves, and receive a keyframe when it returns', async () => {
  const { url, id, host } = await desktop();
  const other = await world.node();
  const viewers = [await watch(world, url, id), await watch(world, other.url, id, { shared: true })];
  for (const viewer of viewers) await picture(viewer);
  host.stop();
  for (const viewer of viewers) await frozen(viewer);
  const late = await watch(world, url, id);
  await frozen(late);
  await TestHost.start(world, id, 1000);
  for (const viewer of [...viewers, late]) {
    await waitFor('a new picture', () => viewer.seen.at(-1)?.kind === 'key' && viewer.gone.length === 1);
    expect(viewer.gone).toEqual([HOST_AWAY]);
  }
  await picture(late);
});

test('input while the host is away is counted as dropped and is not sent later', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id, { mode: 'control' });
  await picture(viewer);
  press(viewer, id, 1);
  await waitFor('the input', () => host.inputs().length === 1);
  host.stop();
  press(viewer, id, 2);
  await frozen(viewer);
  press(viewer, id, 3);
  await waitFor('both to be counted', async () => {
    return (await metric(url, 'warmwind_relay_inputs_total{outcome="host_away"}')) === 2;
  });
  const back = await TestHost.start(world, id, 1000);
  await picture(viewer, 2);
  press(viewer, id, 4);
  await waitFor('the input', () => back.inputs().length === 1);
  expect(back.inputs()[0]?.input).toMatchObject({ keysym: 4 });
});

test('a host that subscribes again is asked to release all keys before it receives new input', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id, { mode: 'control' });
  await picture(viewer);
  press(viewer, id, 0xffe1);
  await waitFor('the input', () => host.inputs().length === 1);
  await host.deaf();
  press(viewer, id, 0xffe1, false);
  await frozen(viewer);
  await host.receive();
  await picture(viewer, 2);
  press(viewer, id, 0x61);
  await waitFor('the input', () => host.inputs().length === 2);
  const story = host.received.flatMap((message) =>
    message.t === 'input' || message.t === 'release' ? message.t : [],
  );
  expect(story).toEqual(['input', 'release', 'input']);
});

test('viewers are notified when the realtime Redis is lost, and continue when it is back', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id, { mode: 'control' });
  await picture(viewer);
  await world.realtime.kill();
  await frozen(viewer);
  await world.realtime.restart();
  await waitFor('a frame of the host', async () => {
    await host.key(1000).catch(() => 0);
    return viewer.seen.at(-1)?.kind === 'key' && viewer.seen.length > 1;
  });
  press(viewer, id, 5);
  await waitFor('the input', async () => {
    press(viewer, id, 5);
    return host.inputs().length > 0;
  });
  expect(await world.realtime.client.exists(screenKeys.control(id))).toBe(1);
});
