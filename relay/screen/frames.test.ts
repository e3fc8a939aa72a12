import { setTimeout as sleep } from 'node:timers/promises';
import { VIEWER_WINDOW_BYTES } from '@warmwind/shared/contract/screen';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { TestHost } from '../testing/host.ts';
import { watch } from '../testing/watcher.ts';
import { metric, upTo, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

const KEY = 1000;

/** A node, a running desktop of `ann` and its host, which sends keyframes of `keyBytes`, or none if null. */
async function desktop(keyBytes: number | null = KEY) {
  const node = await world.node();
  const id = await world.container('ann', { state: 'running' });
  const host = await TestHost.start(world, id, keyBytes);
  return { node, url: node.url, id, host };
}

test('frames of every size arrive complete and in order at a stock client', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id);
  expect(viewer.answer).toMatchObject({ ok: true, mode: 'view', width: 1280, height: 720, holder: null });
  await waitFor('the key', () => viewer.seen.length === 1);
  const sizes = [1, 70, 125, 126, 127, 4000, 65_535, 65_536, 65_537, 200_000];
  for (const size of sizes) {
    await host.delta(size);
    await waitFor('the frame', () => viewer.seen.at(-1)?.seq === host.seq);
  }
  expect(viewer.story()).toEqual(['key 0', ...upTo(10).map((n) => `frame ${n}`)]);
  expect(viewer.seen.slice(1).map(({ bytes }) => bytes.length)).toEqual(sizes);
  for (const { seq, bytes } of viewer.seen) expect(bytes.every((byte) => byte === (seq & 255))).toBe(true);
});

test('a viewer that joins late is sent a keyframe of its own, then every later frame', async () => {
  const { url, id, host } = await desktop();
  const early = await watch(world, url, id);
  await waitFor('its key', () => early.seen.length === 1);
  await host.delta(100);
  await host.delta(100);
  const late = await watch(world, url, id, { shared: true });
  await waitFor('its key', () => late.seen.length === 1);
  await host.delta(100);
  await waitFor('the frame', () => late.seen.length === 2 && early.seen.length === 4);
  expect(early.story()).toEqual(['key 0', 'frame 1', 'frame 2', 'frame 3']);
  expect(late.story()).toEqual(['key 2', 'frame 3']);
});

test('a viewer that watches before the desktop runs is sent a keyframe when it does', async () => {
  const node = await world.node();
  const id = await world.container('ann', { state: 'starting' });
  const viewer = await watch(world, node.url, id);
  expect(viewer.answer.ok).toBe(true);
  const host = await TestHost.start(world, id, KEY);
  await waitFor('the key', () => viewer.seen.length === 1);
  expect(host.keyframesRequested()).toBe(1);
});

test('a viewer that acknowledges nothing is sent one window, then a keyframe once it acknowledges', async () => {
  const { url, id, host } = await desktop();
  const [stalled, reading] = [await watch(world, url, id, { acks: false }), await watch(world, url, id)];
  await waitFor('both keys', () => stalled.seen.length === 1 && reading.seen.length === 1);
  const asked = host.keyframesRequested();
  for (const n of upTo(200)) {
    await host.delta(20_000);
    if (n % 10 === 0) await waitFor('the reader', () => reading.seen.length === n + 1);
  }
  expect(reading.story()).toEqual(['key 0', ...upTo(200).map((n) => `frame ${n}`)]);
  expect(stalled.bytes()).toBeLessThanOrEqual(VIEWER_WINDOW_BYTES + KEY);
  expect(stalled.bytes()).toBeGreaterThan(VIEWER_WINDOW_BYTES - 20_000);
  expect(host.keyframesRequested()).toBe(asked);
  const before = stalled.seen.length;
  stalled.ack();
  await waitFor('its key', () => stalled.seen.length > before);
  await host.delta(100);
  await waitFor('the frame', () => reading.seen.at(-1)?.seq === 201 && stalled.seen.at(-1)?.seq === 201);
  expect(stalled.story().slice(before)).toEqual(['key 200', 'frame 201']);
  expect(reading.seen.filter(({ kind }) => kind === 'key')).toHaveLength(1);
});

test('acknowledging frames that were never sent does not widen the window', async () => {
  const { url, id, host } = await desktop();
  const liar = await watch(world, url, id, { acks: false });
  await waitFor('the key', () => liar.seen.length === 1);
  const engine = (liar.socket.io.engine as unknown as { transport: { ws: { _socket?: unknown } } }).transport;
  const ws = engine.ws as unknown as { pause: () => void; resume: () => void };
  ws.pause();
  for (const _ of upTo(300)) {
    await host.delta(100_000);
    liar.socket.emit('vnc:ack', { containerId: id, epoch: 2 ** 50, seq: 2 ** 31 });
    await sleep(1);
  }
  const dropped = await metric(url, 'warmwind_relay_frames_dropped_total');
  // Of 30 MB only the buffers of the kernels and the window are sent.
  expect(dropped).toBeGreaterThan(100);
  ws.resume();
});

test('acknowledgements of the stock client count before they are decoded, and so do other forms', async () => {
  const { node, url, id, host } = await desktop();
  const decoded: unknown[] = [];
  type Connection = { on: (event: 'packet', seen: (packet: { data: unknown }) => void) => void };
  node.io.engine.on('connection', (connection: Connection) => {
    connection.on('packet', ({ data }) => decoded.push(data));
  });
  const viewer = await watch(world, url, id, { acks: false });
  await waitFor('the key', () => viewer.seen.length === 1);
  const acknowledged = async (ack: () => void) => {
    const seen = viewer.seen.length;
    await host.delta(600_000);
    await waitFor('the frame that fits', () => viewer.seen.length === seen + 1);
    await host.delta(600_000);
    const dropped = await metric(url, 'warmwind_relay_frames_dropped_total');
    await host.delta(600_000);
    await waitFor(
      'the frame that does not fit',
      async () => (await metric(url, 'warmwind_relay_frames_dropped_total')) > dropped,
    );
    ack();
    await waitFor('a key', () => viewer.seen.at(-1)?.kind === 'key');
  };
  await acknowledged(() => viewer.ack());
  expect(decoded.filter((data) => `${data}`.includes('vnc:ack'))).toEqual([]);
  const argument = { seq: 2 ** 31, epoch: host.epoch, containerId: id };
  await acknowledged(() => viewer.socket.emit('vnc:ack', argument, () => undefined));
  expect(decoded.filter((data) => `${data}`.includes('vnc:ack'))).toHaveLength(1);
});

test('a flood of acknowledgements closes the connection', async () => {
  const { url, id } = await desktop();
  const viewer = await watch(world, url, id);
  for (const _ of upTo(5000)) viewer.socket.emit('vnc:ack', { containerId: id, epoch: 1, seq: 1 });
  await waitFor('the connection to be closed', () => !viewer.socket.connected);
  expect(await metric(url, 'warmwind_relay_inbound_dropped_total{reason="flood"}')).toBe(1);
});

test('at most three keyframes a second are requested, and a viewer can request one once a second', async () => {
  const { url, id, host } = await desktop(null);
  const began = performance.now();
  const viewers = await Promise.all(upTo(8).map(() => watch(world, url, id)));
  await sleep(1500);
  const seconds = (performance.now() - began) / 1000;
  expect(host.keyframesRequested()).toBeGreaterThan(0);
  expect(host.keyframesRequested()).toBeLessThanOrEqual(1 + Math.ceil(seconds * 3));
  host.answers = KEY;
  await waitFor('every key', () => viewers.every(({ seen }) => seen.length > 0));
  const [first, second] = viewers;
  if (!first || !second) throw new Error('no viewers');
  const refresh = () => first.socket.emitWithAck('vnc:refresh', { containerId: id });
  expect(await refresh()).toEqual({ ok: true });
  expect(await refresh()).toMatchObject({ ok: false, code: 'rate_limited' });
  await waitFor('its key', () => first.seen.length === 2);
  expect(second.seen).toHaveLength(1);
});

test('a gap, a new epoch and the end of the stream each cause one keyframe', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id);
  await waitFor('the key', () => viewer.seen.length === 1);
  host.seq += 1;
  await host.delta(100);
  await waitFor('the key after the gap', () => viewer.seen.length === 2);
  host.epoch += 1;
  host.seq = 0;
  await host.key(KEY);
  await host.delta(100);
  await waitFor('the new epoch', () => viewer.seen.length === 4);
  await host.publish('gone', Buffer.from('the display closed'));
  await waitFor('the end', () => viewer.gone.length === 1);
  await waitFor('the key after it', () => viewer.seen.length === 5);
  expect(viewer.story()).toEqual(['key 0', 'key 2', 'key 0', 'frame 1', 'key 1']);
  expect(viewer.gone).toEqual(['the display closed']);
});

test('a subscriber that was disconnected subscribes again and catches up by a keyframe', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id);
  await waitFor('the key', () => viewer.seen.length === 1);
  await world.realtime.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await waitFor('no subscriber', async () => (await host.delta(100)) === 0);
  await waitFor('the key', () => viewer.seen.at(-1)?.seq === host.seq);
  expect(viewer.seen.at(-1)?.kind).toBe('key');
  await host.delta(100);
  await waitFor('the frame', () => viewer.seen.at(-1)?.seq === host.seq);
  expect(viewer.seen.at(-1)?.kind).toBe('frame');
});

test('a node subscribes to a desktop only while a viewer of the node watches it', async () => {
  const { url, id, host } = await desktop();
  expect(await host.listeners()).toBe(0);
  const viewers = [await watch(world, url, id), await watch(world, url, id)];
  expect(await host.listeners()).toBe(1);
  expect(await metric(url, 'warmwind_relay_viewers')).toBe(2);
  expect(await viewers[0]?.socket.emitWithAck('vnc:unwatch', { containerId: id })).toEqual({ ok: true });
  viewers[1]?.socket.disconnect();
  await waitFor('no subscriber', async () => (await host.listeners()) === 0);
  expect(await metric(url, 'warmwind_relay_viewers')).toBe(0);
  await Promise.all(upTo(10).map(() => watch(world, url, id).then(({ socket }) => socket.disconnect())));
  await waitFor('no subscriber', async () => (await host.listeners()) === 0);
});

test('watching again starts with a keyframe, as the same viewer', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id);
  await waitFor('the key', () => viewer.seen.length === 1);
  await host.delta(100);
  const again = await viewer.socket.emitWithAck('vnc:watch', { containerId: id });
  expect(again).toEqual(viewer.answer);
  await waitFor('another key', () => viewer.story().includes('key 1'));
  expect(await metric(url, 'warmwind_relay_viewers')).toBe(1);
});

test("the desktop's clipboard reaches every viewer but a guest who may only view", async () => {
  const { url, id, host } = await desktop();
  const viewers = [
    await watch(world, url, id),
    await watch(world, url, id, { mode: 'control', shared: true }),
    await watch(world, url, id, { mode: 'view', shared: true }),
  ];
  await host.publish('cut', Buffer.from('größe'));
  await host.delta(10);
  await waitFor('the text', () => viewers[0]?.clipboards.length === 1 && viewers[1]?.clipboards.length === 1);
  await waitFor('the frame', () => viewers[2]?.seen.length);
  const before = viewers[2]?.seen.length ?? 0;
  await host.publish('cutTooLong', Buffer.alloc(0));
  await host.delta(10);
  await waitFor(
    'the notice of a longer one',
    () => viewers[0]?.clipboards.length === 2 && viewers[1]?.clipboards.length === 2,
  );
  await waitFor('the frame', () => (viewers[2]?.seen.length ?? 0) > before);
  expect(viewers.map(({ clipboards: texts }) => texts)).toEqual([
    ['größe', 'too long'],
    ['größe', 'too long'],
    [],
  ]);
});

test('a desktop that ended without a message of its host is reported as gone', async () => {
  const { url, id, host } = await desktop(null);
  const viewer = await watch(world, url, id);
  await world.queue.client.hset(keys.container('ann', id), { state: 'lost' });
  await waitFor('the end', () => viewer.gone.length === 1, LIMITS.presenceMs * 3);
  expect(viewer.gone).toEqual(['lost']);
  await waitFor('no subscriber', async () => (await host.listeners()) === 0);
  const again = await viewer.socket.emitWithAck('vnc:watch', { containerId: id });
  expect(again).toMatchObject({ ok: false, code: 'conflict' });
});

test('malformed frames are ignored', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id);
  await waitFor('the key', () => viewer.seen.length === 1);
  const channel = `ww:{screen:${id}}:down`;
  for (const bytes of [[], [0], new Array(20).fill(255), new Array(100).fill(0)]) {
    await world.realtime.client.spublish(channel, Buffer.from(bytes));
  }
  await host.delta(100);
  await waitFor('the frame', () => viewer.seen.length === 2);
});

test('another user, a link to another desktop and an unknown id are refused as not found', async () => {
  const { url, id } = await desktop();
  const other = await world.container('ann', { state: 'running' });
  const mallory = await watch(world, url, id, { user: 'mallory' });
  const linked = await watch(world, url, other, { shared: true });
  expect(linked.answer.ok).toBe(true);
  const unknown = await watch(world, url, 'unknown');
  const answers = [
    mallory.answer,
    unknown.answer,
    await linked.socket.emitWithAck('vnc:watch', { containerId: id }),
  ];
  for (const answer of answers) expect(answer).toMatchObject({ ok: false, code: 'not_found' });
  for (const event of ['vnc:refresh', 'vnc:control']) {
    const argument = { containerId: id, ...(event === 'vnc:control' ? { action: 'take' } : {}) };
    expect(await mallory.socket.emitWithAck(event, argument)).toMatchObject({ code: 'not_found' });
  }
  expect(await metric(url, 'warmwind_relay_viewers')).toBe(1);
});

test('a socket watches a bounded number of desktops', async () => {
  const { url, id } = await desktop();
  const viewer = await watch(world, url, id);
  const codes: string[] = [];
  for (const _ of upTo(LIMITS.screensPerSocket)) {
    const containerId = await world.container('ann', { state: 'running' });
    const answer = await viewer.socket.emitWithAck('vnc:watch', { containerId });
    codes.push(answer.ok ? 'ok' : answer.code);
  }
  expect(codes.filter((code) => code === 'ok')).toHaveLength(LIMITS.screensPerSocket - 1);
  expect(codes.at(-1)).toBe('quota_exceeded');
});
