import {
  CONTROL_IDLE_MS,
  CONTROL_TTL_MS,
  type Holder,
  holdingViewer,
  screenKeys,
} from '@warmwind/shared/contract/screen';
import { actOnControl } from '@warmwind/shared/engine/node/control';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { TestHost } from '../testing/host.ts';
import { type Watcher, watch } from '../testing/watcher.ts';
import { metric, upTo, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

async function desktop(nodes = 1) {
  const urls = await Promise.all(upTo(nodes).map(async () => (await world.node()).url));
  const id = await world.container('ann', { state: 'running' });
  return { urls, url: urls[0] ?? '', id, host: await TestHost.start(world, id, 1000) };
}

const key = (keysym: number) => ({ t: 'key', keysym, down: true }) as const;
const type = ({ socket }: Watcher, containerId: string, input: object) =>
  socket.emit('vnc:input', { containerId, input });
const control = ({ socket }: Watcher, containerId: string, action: string, more: object = {}) =>
  socket.timeout(5000).emitWithAck('vnc:control', { containerId, action, ...more });
/** Resolves when the relay has handled all that this client sent before. */
const settled = ({ socket }: Watcher) => socket.timeout(5000).emitWithAck('unsubscribe', { room: 'job:x' });
/** Has `watcher` received that `viewer` holds control? */
const holds = (watcher: Watcher, viewer: Watcher) =>
  holdingViewer(watcher.holders.at(-1) ?? null) === viewer.viewerId;
const present = async (id: string) =>
  JSON.parse((await world.realtime.client.get(screenKeys.control(id))) ?? 'null');

/** Every message by which a client may try to act on a desktop. */
const inputs = [
  key(97),
  { t: 'ptr', x: 1, y: 2, mask: 1 },
  { t: 'ptr', x: 3, y: 4, mask: 1 },
  { t: 'cut', text: 'text' },
  { t: 'resize', w: 800, h: 600 },
];
/** Each kind of ticket. `sends`: its input takes free control. `takes`: it may take control from a holder. */
const tickets = [
  { who: "the owner's control ticket", options: { mode: 'control' }, sends: true, takes: true },
  { who: 'a link to control', options: { mode: 'control', shared: true }, sends: true, takes: false },
  { who: "the owner's view ticket", options: { mode: 'view' }, sends: false, takes: false },
  { who: 'a link to view', options: { mode: 'view', shared: true }, sends: false, takes: false },
] as const;

test.each(tickets)(
  '$who sends exactly what it may while control is free',
  async ({ options, sends, takes }) => {
    const { url, id, host } = await desktop();
    const viewer = await watch(world, url, id, options);
    for (const input of inputs) type(viewer, id, input);
    await settled(viewer);
    if (sends) await waitFor('the inputs', () => host.inputs().length === inputs.length);
    await host.settled();
    expect(host.inputs().map(({ input }) => input)).toEqual(sends ? inputs : []);
    expect(host.inputs().every(({ viewerId }) => viewerId === viewer.viewerId)).toBe(true);
    expect((await present(id))?.viewerId).toBe(sends ? viewer.viewerId : undefined);
    for (const action of ['request', 'take', 'release']) {
      const may = sends && (action !== 'take' || takes);
      expect(await control(viewer, id, action)).toMatchObject(
        may ? { ok: true } : { ok: false, code: 'forbidden' },
      );
    }
    expect(await present(id)).toBeNull();
  },
);

test.each(tickets)(
  '$who reaches nothing while another holds control, unless it is the owner and takes control',
  async ({ options, sends, takes }) => {
    const { url, id, host } = await desktop();
    const holder = await watch(world, url, id, { mode: 'control' });
    type(holder, id, key(1));
    await waitFor('the input', () => host.inputs().length === 1);
    const viewer = await watch(world, url, id, options);
    const held = { type: 'viewer', viewerId: holder.viewerId, userId: 'ann' };
    expect(viewer.answer).toMatchObject({ holder: held });
    for (const input of inputs) type(viewer, id, input);
    if (sends) expect(await control(viewer, id, 'request')).toEqual({ ok: true, holder: held });
    expect(await control(viewer, id, 'release')).toMatchObject(
      sends ? { holder: held } : { code: 'forbidden' },
    );
    await host.settled();
    expect(host.inputs()).toHaveLength(1);
    const dropped = await Promise.all(
      ['view', 'not_holder'].map((outcome) =>
        metric(url, `warmwind_relay_inputs_total{outcome="${outcome}"}`),
      ),
    );
    expect(dropped.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(inputs.length - 1);

    const taken = await control(viewer, id, 'take');
    expect(taken).toMatchObject(
      takes ? { ok: true, holder: { viewerId: viewer.viewerId } } : { ok: false, code: 'forbidden' },
    );
    type(holder, id, key(2));
    type(viewer, id, key(3));
    await Promise.all([settled(holder), settled(viewer)]);
    await waitFor('the input', () => host.inputs().length === 2);
    await host.settled();
    expect(host.inputs().map(({ viewerId }) => viewerId)).toEqual([
      holder.viewerId,
      takes ? viewer.viewerId : holder.viewerId,
    ]);
  },
);

test('malformed, foreign and unwatched inputs reach nothing', async () => {
  const { url, id, host } = await desktop();
  const other = await world.container('ann', { state: 'running' });
  const linked = await watch(world, url, other, { mode: 'control', shared: true });
  const mallory = await watch(world, url, id, { mode: 'control', user: 'mallory' });
  const owner = await watch(world, url, id, { mode: 'control' });
  for (const viewer of [linked, mallory]) for (const input of inputs) type(viewer, id, input);
  const wrong = [
    undefined,
    null,
    'x',
    { t: 'key', keysym: 0, down: true },
    { t: 'key', keysym: 1 },
    { t: 'key', keysym: 1, down: true, lease: 9 },
    { t: 'ptr', x: -1, y: 0, mask: 0 },
    { t: 'ptr', x: 1e9, y: 0, mask: 0 },
    { t: 'ptr', x: 1, y: 0, mask: 256 },
    { t: 'resize', w: 1, h: 1 },
    { t: 'cut', text: 5 },
    { t: 'exec', cmd: 'x' },
  ];
  for (const input of wrong) owner.socket.emit('vnc:input', { containerId: id, input });
  owner.socket.emit('vnc:input', inputs[0]);
  await Promise.all([linked, mallory, owner].map(settled));
  await host.settled();
  expect(host.inputs()).toEqual([]);
  expect(await present(id)).toBeNull();
});

test('only the newest move of the pointer is sent, and none overtakes a button or a key', async () => {
  const { url, id, host } = await desktop();
  const viewer = await watch(world, url, id, { mode: 'control' });
  await control(viewer, id, 'request');
  for (const n of upTo(100)) type(viewer, id, { t: 'ptr', x: n, y: 0, mask: 0 });
  type(viewer, id, { t: 'ptr', x: 101, y: 0, mask: 1 });
  for (const n of upTo(50)) type(viewer, id, { t: 'ptr', x: 200 + n, y: 0, mask: 1 });
  type(viewer, id, key(9));
  await waitFor('the key', () => host.inputs().some(({ input }) => input.t === 'key'));
  const story = host.inputs().map(({ input }) => (input.t === 'ptr' ? `${input.mask}:${input.x}` : input.t));
  expect(story.slice(-4)).toEqual(['0:100', '1:101', '1:250', 'key']);
  expect(story.length).toBeLessThan(20);
});

test.each(tickets.filter(({ sends }) => sends))(
  'control that $who has released stays free until it presses a key or a button',
  async ({ options }) => {
    const { url, id, host } = await desktop();
    const viewer = await watch(world, url, id, options);
    for (const deliberate of [key(97), { t: 'ptr', x: 8, y: 8, mask: 1 }]) {
      const earlier = host.inputs().length;
      type(viewer, id, deliberate);
      await waitFor('control', async () => (await present(id))?.viewerId === viewer.viewerId);
      await waitFor('the input', () => host.inputs().length > earlier);
      await host.settled();
      const before = host.inputs().length;
      expect(await control(viewer, id, 'release')).toEqual({ ok: true, holder: null });
      // The keyboard repeats the key that is still pressed.
      type(viewer, id, deliberate);
      for (const n of upTo(20))
        type(viewer, id, { t: 'ptr', x: n, y: n, mask: 'mask' in deliberate ? 1 : 0 });
      type(viewer, id, { t: 'key', keysym: 97, down: false });
      type(viewer, id, { t: 'ptr', x: 9, y: 9, mask: 0 });
      for (const n of upTo(20)) type(viewer, id, { t: 'ptr', x: n, y: 9, mask: 0 });
      type(viewer, id, { t: 'cut', text: 'text' });
      type(viewer, id, { t: 'resize', w: 800, h: 600 });
      await waitFor('every input to be dropped', async () => {
        const sample = 'warmwind_relay_inputs_total{outcome="not_holder"}';
        return (await metric(url, sample)) >= (deliberate.t === 'key' ? 6 : 12);
      });
      await settled(viewer);
      await host.settled();
      expect(host.inputs()).toHaveLength(before);
      expect(await present(id)).toBeNull();
    }
    type(viewer, id, key(97));
    await waitFor('control', async () => (await present(id))?.viewerId === viewer.viewerId);
  },
);

test('a holder keeps control while it sends input, and loses it when it is idle', async () => {
  const { url, id } = await desktop();
  const holder = await watch(world, url, id, { mode: 'control' });
  const other = await watch(world, url, id, { mode: 'control', shared: true });
  type(holder, id, key(1));
  await waitFor('control', () => other.holders.length === 1);
  const since = performance.now();
  await waitFor('time to pass', () => performance.now() - since > CONTROL_IDLE_MS / 8);
  type(holder, id, key(2));
  await settled(holder);
  const last = performance.now();
  expect(other.holders).toHaveLength(1);
  await waitFor('its loss', () => other.holders.length === 2, 2 * CONTROL_IDLE_MS);
  expect(performance.now() - last).toBeGreaterThan(CONTROL_IDLE_MS - 1000);
  expect([other.holders[1], holder.holders[1]]).toEqual([null, null]);
  type(other, id, key(3));
  await waitFor('the other to hold it', () => holds(holder, other));
}, 90_000);

test('when a guest requests control, owner and holder are notified, and only the owner grants it', async () => {
  const { urls, url, id, host } = await desktop(2);
  const holder = await watch(world, url, id, { mode: 'control', shared: true });
  const guest = await watch(world, urls[1] ?? '', id, { mode: 'control', shared: true });
  const owner = await watch(world, url, id, { mode: 'control' });
  const looking = [await watch(world, url, id), await watch(world, url, id, { shared: true })];
  const named = ({ viewerId }: Watcher) => ({ type: 'guest', viewerId, userId: 'ann', shared: true });

  await control(holder, id, 'request');
  type(holder, id, key(1));
  await waitFor('the input', () => host.inputs().length === 1);
  expect(await control(guest, id, 'request')).toEqual({ ok: true, holder: named(holder) });
  await waitFor('the request', () => [owner, holder].every(({ requests }) => requests.length === 1));
  expect([...owner.requests, ...holder.requests]).toEqual([named(guest), named(guest)]);
  // A second request at once notifies no viewer again.
  await control(guest, id, 'request');

  const grant = { viewerId: guest.viewerId };
  const refused = (code: string) => ({ ok: false, code });
  expect(await control(holder, id, 'grant', grant)).toMatchObject(refused('forbidden'));
  expect(await control(guest, id, 'grant', grant)).toMatchObject(refused('forbidden'));
  for (const one of looking)
    expect(await control(one, id, 'grant', grant)).toMatchObject(refused('forbidden'));
  expect(await control(owner, id, 'grant')).toMatchObject(refused('bad_request'));
  expect(await control(owner, id, 'take', grant)).toMatchObject(refused('bad_request'));
  for (const viewerId of ['none', ...looking.map((one) => one.viewerId)]) {
    expect(await control(owner, id, 'grant', { viewerId })).toMatchObject(refused('not_found'));
  }
  expect((await present(id)).viewerId).toBe(holder.viewerId);
  expect(await control(owner, id, 'grant', grant)).toEqual({ ok: true, holder: named(guest) });
  await waitFor('the guest to hold control', () => holds(guest, guest));
  type(holder, id, key(2));
  await settled(holder);
  type(guest, id, key(3));
  await waitFor('the input', () => host.inputs().length === 2);
  expect(host.inputs().map(({ input }) => input)).toEqual([key(1), key(3)]);
  expect([owner, holder].map(({ requests }) => requests.length)).toEqual([1, 1]);
  expect([guest, ...looking].flatMap(({ requests }) => requests)).toEqual([]);
});

test('an agent holds control until it expires or the owner takes it', async () => {
  const { url, id, host } = await desktop();
  const agent: Holder = { type: 'agent', userId: 'ann', credential: 'key-1' };
  const owner = await watch(world, url, id, { mode: 'control' });
  const guest = await watch(world, url, id, { mode: 'control', shared: true });
  const act = (...asked: ['look' | 'request' | 'release', Holder]) =>
    actOnControl(world.realtime.client, id, ...asked);
  expect(await act('request', agent)).toMatchObject({ changed: true, holder: agent });
  await waitFor('the viewers to be notified', () =>
    [owner, guest].every(({ holders }) => holders.length === 1),
  );
  expect([...owner.holders, ...guest.holders]).toEqual([agent, agent]);
  expect(await control(guest, id, 'request')).toEqual({ ok: true, holder: agent });
  type(guest, id, key(1));
  await waitFor('the notice', () => guest.dropped.length === 1);
  expect(guest.dropped).toMatchObject([{ reason: 'not_holder', holder: agent }]);

  // Only the same credential of the same user renews and releases control.
  await world.realtime.client.pexpire(screenKeys.control(id), 1000);
  for (const other of [
    { ...agent, credential: 'key-2' },
    { ...agent, userId: 'bob' },
  ]) {
    expect(await act('release', other)).toMatchObject({ changed: false, holder: agent });
  }
  expect(await world.realtime.client.pttl(screenKeys.control(id))).toBeLessThanOrEqual(1000);
  await act('look', agent);
  expect(await world.realtime.client.pttl(screenKeys.control(id))).toBeGreaterThan(1000);

  expect(await control(owner, id, 'take')).toMatchObject({ holder: { viewerId: owner.viewerId } });
  expect(await act('release', agent)).toMatchObject({ changed: false });
  type(owner, id, key(2));
  await waitFor('the input', () => host.inputs().length === 1);
});

test('control granted by an older relay, without a type, is held, renewed and released', async () => {
  const { url, id } = await desktop();
  const viewer = await watch(world, url, id, { mode: 'control' });
  const given = { viewerId: viewer.viewerId, userId: 'ann', lease: 5 };
  await world.realtime.client.set(screenKeys.leases(id), given.lease);
  await world.realtime.client.set(screenKeys.control(id), JSON.stringify(given), 'PX', 60_000);
  const { lease: _, ...holder } = given;
  expect(await control(viewer, id, 'request')).toEqual({ ok: true, holder: { type: 'viewer', ...holder } });
  expect(await control(viewer, id, 'release')).toEqual({ ok: true, holder: null });
});

test('a viewer whose key or button reaches nothing is notified with the holder of control', async () => {
  const { url, id } = await desktop();
  const holder = await watch(world, url, id, { mode: 'control' });
  const guest = await watch(world, url, id, { mode: 'control', shared: true });
  const viewing = await watch(world, url, id, { shared: true });
  await control(holder, id, 'request');
  for (const viewer of [guest, viewing]) {
    for (const n of upTo(9)) type(viewer, id, { t: 'ptr', x: n, y: 1, mask: 0 });
    for (const n of upTo(9)) type(viewer, id, key(n));
  }
  await waitFor('the notices', () => [guest, viewing].every(({ dropped }) => dropped.length > 0));
  await Promise.all([settled(guest), settled(viewing)]);
  const held = { type: 'viewer', viewerId: holder.viewerId, userId: 'ann' };
  expect(guest.dropped).toMatchObject([{ containerId: id, reason: 'not_holder', holder: held }]);
  expect(viewing.dropped).toMatchObject([{ containerId: id, reason: 'view' }]);
  expect(guest.dropped[0]?.message).toContain('request');
});

test('every viewer on every node is notified of a new holder, and the host of the change', async () => {
  const { urls, id, host } = await desktop(2);
  const [here, there] = urls.map((url) => watch(world, url, id, { mode: 'control' }));
  const [first, second] = [await here, await there];
  if (!first || !second) throw new Error('no viewers');
  const viewers = [first, second, await watch(world, urls[1] ?? '', id, { shared: true })];
  const reports = (count: number) =>
    waitFor('all to be notified', () => viewers.every(({ holders }) => holders.length === count));
  const named = ({ viewerId }: Watcher) => ({ type: 'viewer', viewerId, userId: 'ann' });

  expect(await control(first, id, 'request')).toEqual({ ok: true, holder: named(first) });
  await reports(1);
  expect(await control(second, id, 'request')).toEqual({ ok: true, holder: named(first) });
  expect(await control(second, id, 'take')).toEqual({ ok: true, holder: named(second) });
  await reports(2);
  expect(await control(first, id, 'release')).toEqual({ ok: true, holder: named(second) });
  second.socket.disconnect();
  await waitFor('the release', () => first.holders.length === 3);
  expect(first.holders).toEqual([named(first), named(second), null]);
  expect(viewers[2]?.holders).toEqual([named(first), named(second), null]);
  expect(host.received.filter(({ t }) => t === 'control')).toHaveLength(3);
});

test('a guest that holds control is distinguished from the owner of its link', async () => {
  const { url, id } = await desktop();
  const [guest, owner] = [
    await watch(world, url, id, { mode: 'control', shared: true }),
    await watch(world, url, id, { mode: 'control' }),
  ];
  const holder = { type: 'guest', viewerId: guest.viewerId, userId: 'ann', shared: true };
  expect(await control(guest, id, 'request')).toEqual({ ok: true, holder });
  await waitFor('the owner to be notified', () => owner.holders.length === 1);
  expect(owner.holders).toEqual([holder]);
});

test('leases rise with every new holder, also after the realtime Redis lost its data', async () => {
  const { url, id, host } = await desktop();
  const [a, b] = [
    await watch(world, url, id, { mode: 'control' }),
    await watch(world, url, id, { mode: 'control' }),
  ];
  const leases: number[] = [];
  for (const [viewer, n] of [
    [a, 1],
    [b, 2],
    [a, 3],
    [b, 4],
  ] as const) {
    if (n === 3) {
      await world.realtime.client.flushall();
      await waitFor('the loss to be noticed', () => a.holders.at(-1) === null);
    }
    await control(viewer, id, 'take');
    type(viewer, id, key(n));
    await waitFor('the input', () => host.inputs().length === n);
    leases.push(host.inputs().at(-1)?.lease ?? 0);
  }
  expect(leases).toEqual([...leases].sort((x, y) => x - y));
  expect(new Set(leases).size).toBe(4);
});

test('control lasts while its holder is connected, and is free soon after its node was killed', async () => {
  const { url, id } = await desktop();
  const dying = await world.process();
  const holder = await watch(world, dying.url, id, { mode: 'control' });
  const staying = await watch(world, url, id, { mode: 'control' });
  expect(await control(holder, id, 'request')).toMatchObject({ ok: true });
  const { lease } = await present(id);
  await waitFor('a renewal', async () => {
    const left = await world.realtime.client.pttl(screenKeys.control(id));
    return left > CONTROL_TTL_MS - LIMITS.controlMs && left < CONTROL_TTL_MS - 100;
  });
  await waitFor('another', async () => {
    const left = await world.realtime.client.pttl(screenKeys.control(id));
    return left > CONTROL_TTL_MS - 100;
  });
  expect((await present(id)).lease).toBe(lease);
  await dying.end('SIGKILL');
  await waitFor('control to be free', () => staying.holders.at(-1) === null);
  expect(await control(staying, id, 'request')).toMatchObject({ holder: { viewerId: staying.viewerId } });
});

test('while Redis is unavailable inputs are dropped, and control is available again afterwards', async () => {
  const { url, id } = await desktop();
  const viewer = await watch(world, url, id, { mode: 'control' });
  await world.realtime.kill();
  expect(await control(viewer, id, 'request')).toMatchObject({ ok: false, code: 'unavailable' });
  type(viewer, id, key(1));
  await settled(viewer);
  await world.realtime.restart();
  await waitFor('control', async () => (await control(viewer, id, 'request')).ok);
});
