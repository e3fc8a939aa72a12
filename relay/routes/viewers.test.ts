import { Viewers, viewerPath, viewersPath } from '@warmwind/shared/contract/screen';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { TestHost } from '../testing/host.ts';
import { watch } from '../testing/watcher.ts';
import { ticket, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

async function ask(
  url: string,
  path: string,
  method = 'GET',
  claims: Parameters<typeof ticket>[1] = {},
  user = 'ann',
) {
  const headers = { Authorization: `Bearer ${await ticket(user, claims)}` };
  return fetch(`${url}${path}`, { method, headers });
}

async function desktop() {
  const [one, two] = [await world.node(), await world.node()];
  const id = await world.container('ann', { state: 'running' });
  await TestHost.start(world, id, 1000);
  const list = async (url: string) => Viewers.parse(await (await ask(url, viewersPath(id))).json());
  return { one: one.url, two: two.url, id, list };
}

test('every node lists the viewers of all nodes and the holder of control', async () => {
  const { one, two, id, list } = await desktop();
  expect(await list(one)).toEqual({ items: [], control: null });
  const first = await watch(world, one, id, { mode: 'control', id: 'ticket-1' });
  const second = await watch(world, two, id, { shared: true, id: 'ticket-2' });
  await first.socket.emitWithAck('vnc:control', { containerId: id, action: 'request' });
  for (const url of [one, two]) {
    const { items, control } = await list(url);
    expect(items).toMatchObject([
      {
        id: first.viewerId,
        userId: 'ann',
        ticketId: 'ticket-1',
        shared: false,
        mode: 'control',
        control: true,
      },
      {
        id: second.viewerId,
        userId: 'ann',
        ticketId: 'ticket-2',
        shared: true,
        mode: 'view',
        control: false,
      },
    ]);
    expect(control).toEqual({ type: 'viewer', viewerId: first.viewerId, userId: 'ann' });
  }
  const lookup = (socket: Socket) => socket.emitWithAck('vnc:viewers', { containerId: id });
  expect(await lookup(first.socket)).toEqual({ ok: true, ...(await list(one)) });
  expect(await lookup(second.socket)).toMatchObject({ ok: false, code: 'forbidden' });
  const elsewhere = world.client(one, await ticket('ann'));
  expect(await lookup(elsewhere)).toMatchObject({ ok: false, code: 'not_found' });
  second.socket.disconnect();
  await waitFor('it to have left', async () => (await list(one)).items.length === 1);
});

test('a viewer is disconnected through any node, and only that one', async () => {
  const { one, two, id, list } = await desktop();
  const [stays, leaves] = [await watch(world, one, id), await watch(world, one, id)];
  const gone = new Promise((resolve) => leaves.socket.once('disconnect', resolve));
  expect((await ask(two, viewerPath(id, leaves.viewerId), 'DELETE')).status).toBe(204);
  expect(await gone).toBe('io server disconnect');
  expect((await list(two)).items.map((viewer) => viewer.id)).toEqual([stays.viewerId]);
  expect(stays.socket.connected).toBe(true);
  const again = await ask(one, viewerPath(id, leaves.viewerId), 'DELETE');
  expect([again.status, (await again.json()).code]).toEqual([404, 'not_found']);
});

test('viewers of a node that died leave the list when their presence expires', async () => {
  const { one, id, list } = await desktop();
  const dying = await world.process();
  await watch(world, dying.url, id);
  expect((await list(one)).items).toHaveLength(1);
  await dying.end('SIGKILL');
  await waitFor('the viewer to leave the list', async () => (await list(one)).items.length === 0, 20_000);
});

test('only the owner may list viewers: other users and share links get not_found', async () => {
  const { one, id } = await desktop();
  const viewer = await watch(world, one, id);
  const refused = async (...[path, method, claims, user]: [string, string, object?, string?]) => {
    const response = await ask(one, path, method, claims, user);
    return [response.status, (await response.json()).code];
  };
  for (const [path, method] of [
    [viewersPath(id), 'GET'],
    [viewerPath(id, viewer.viewerId), 'DELETE'],
  ] as const) {
    expect(await refused(path, method, {}, 'mallory')).toEqual([404, 'not_found']);
    expect(await refused(path, method, { containerId: id, mode: 'control' })).toEqual([404, 'not_found']);
    expect(await refused(path.replace(id, 'unknown'), method)).toEqual([404, 'not_found']);
    expect((await fetch(`${one}${path}`, { method })).status).toBe(401);
  }
  expect(await refused(viewerPath(id, 'x'.repeat(100)), 'DELETE')).toEqual([404, 'not_found']);
  expect(viewer.socket.connected).toBe(true);
});
