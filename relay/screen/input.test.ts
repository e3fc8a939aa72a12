import type { DroppedReason, ScreenInput } from '@warmwind/shared/contract/screen';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { TestHost } from '../testing/host.ts';
import { type Watcher, watch } from '../testing/watcher.ts';
import { World } from '../testing/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

async function controlled() {
  const { url } = await world.node();
  const id = await world.container('ann', { state: 'running' });
  const host = await TestHost.start(world, id);
  const viewer = await watch(world, url, id, { mode: 'control' });
  await viewer.socket.timeout(5000).emitWithAck('vnc:control', { containerId: id, action: 'request' });
  const send = (input: object) => viewer.socket.emit('vnc:input', { containerId: id, input });
  return { url, id, host, viewer, send };
}
const key = (keysym: number, down = true) => ({ t: 'key', keysym, down }) satisfies ScreenInput;
const reported = ({ dropped }: Watcher, reason: DroppedReason) =>
  dropped.filter((notice) => notice.reason === reason).reduce((sum, { count }) => sum + count, 0);

test('1,000 keys at once reach the host, in order', async () => {
  const { host, viewer, send } = await controlled();
  const inputs = Array.from({ length: 2000 }, (_, n) => key(0x20 + ((n >> 1) % 90), n % 2 === 0));
  for (const input of inputs) send(input);
  await waitFor('all inputs', () => host.inputs().length === inputs.length);
  expect(host.inputs().map(({ input }) => input)).toEqual(inputs);
  expect(viewer.dropped).toEqual([]);
});

test('input beyond the queue is dropped and reported, and pressed keys are still released', async () => {
  const { host, viewer, send } = await controlled();
  const sent = LIMITS.packetsBurst - 200;
  send(key(0xffe1));
  send({ t: 'ptr', x: 1, y: 1, mask: 1 });
  const presses = Array.from({ length: sent - 4 }, (_, n) => key(1 + ((n * n) % 101)));
  for (const press of presses) send(press);
  send({ t: 'ptr', x: 2, y: 2, mask: 0 });
  send(key(0xffe1, false));
  await waitFor('the release', () => host.inputs().at(-1)?.input.t === 'key' && host.inputs().length > 3000);
  await waitFor('all to be counted', () => host.inputs().length + reported(viewer, 'too_many') === sent);
  const taken = host.inputs().map(({ input }) => input);
  expect(taken.slice(-2)).toEqual([{ t: 'ptr', x: 2, y: 2, mask: 0 }, key(0xffe1, false)]);
  expect(reported(viewer, 'too_many')).toBeGreaterThan(0);
  const left = presses.values();
  const inOrder = (input: ScreenInput) =>
    input.t === 'key' && left.some(({ keysym }) => keysym === input.keysym);
  expect(taken.slice(2, -2).every(inOrder)).toBe(true);
  expect(viewer.dropped.map(({ reason }) => reason)).toEqual(viewer.dropped.map(() => 'too_many'));
  expect(viewer.socket.connected).toBe(true);
});

test('malformed input, input for an unwatched screen and input that the host misses or drops is reported', async () => {
  const { host, viewer, send } = await controlled();
  for (const wrong of [{ t: 'resize', w: 5000, h: 700 }, key(0), { t: 'key' }]) send(wrong);
  for (const n of [1, 2]) viewer.socket.emit('vnc:input', { containerId: 'another', input: key(n) });
  await host.deaf();
  for (const n of [1, 2, 3, 4]) send(key(n));
  await waitFor('the reports', () => reported(viewer, 'host_away') === 4);
  expect([reported(viewer, 'invalid'), reported(viewer, 'not_watching')]).toEqual([3, 2]);
  expect(viewer.dropped.find(({ reason }) => reason === 'not_watching')?.containerId).toBe('another');
  await host.receive();
  await host.settled();
  expect(host.inputs()).toEqual([]);
  const dropped = { viewerId: viewer.viewerId, reason: 'no_desktop', count: 7 };
  await host.publish('dropped', Buffer.from(JSON.stringify(dropped)));
  for (const text of ['{', '{}', JSON.stringify({ ...dropped, viewerId: 'x' })]) {
    await host.publish('dropped', Buffer.from(text));
  }
  await waitFor('the host’s report', () => reported(viewer, 'no_desktop') === 7);
  expect(viewer.dropped.every(({ containerId, message }) => containerId && message)).toBe(true);
});

test('queued input is dropped and reported when control is released or the screen is left', async () => {
  const { id, host, viewer, send } = await controlled();
  const burst = () => {
    for (let n = 0; n < 1000; n++) send(key(0x20 + (n % 90), true));
  };
  const counted = () =>
    host.inputs().length + reported(viewer, 'not_holder') + reported(viewer, 'not_watching');
  burst();
  await viewer.socket.emitWithAck('vnc:control', { containerId: id, action: 'release' });
  await waitFor('all to be counted', () => counted() === 1000);
  expect(reported(viewer, 'not_holder')).toBeGreaterThan(0);
  await viewer.socket.emitWithAck('vnc:control', { containerId: id, action: 'request' });
  burst();
  await viewer.socket.emitWithAck('vnc:unwatch', { containerId: id });
  await waitFor('all to be counted', () => counted() === 2000);
  expect(reported(viewer, 'not_watching')).toBeGreaterThan(0);
});
