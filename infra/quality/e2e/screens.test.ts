import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import { Viewers, type WatchAck } from '@warmwind/shared/contract/screen';
import { keys } from '@warmwind/shared/engine/keys';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { picture, TestCallHost } from '../../../relay/testing/call-host.ts';
import { TestHost } from '../../../relay/testing/host.ts';
import { connected, World } from '../../../relay/testing/world.ts';
import { AUTH_SECRET, startTestEdge, type TestEdge } from '../../local/edge/testing.ts';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';

let edge: TestEdge;
let world: World;
let desktop: string;
let calls: TestCallHost;

beforeAll(async () => {
  const port = await freePort();
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    RELAY_URL: `http://127.0.0.1:${port}`,
  });
  world = await World.start(edge.gateway.redis);
  await world.node({ AUTH_SECRET }, port);
  desktop = String((await edge.call('ada', 'POST', '/containers/start')).body.containerId);
  await world.queue.client.hset(keys.container('ada', desktop), { state: 'running' });
  await TestHost.start(world, desktop, 1000);
  calls = await TestCallHost.start(world, [containerScreenshot]);
  calls.host.runs({ userId: 'ada', containerId: desktop }, 0);
});
afterAll(async () => {
  await world?.stop();
  await edge?.stop();
});

/** Creates a ticket at the edge, and a socket that watches the desktop with it. */
async function watching(
  request: object,
): Promise<{ socket: Socket; ticketId: string; viewerId: string; token: string; url: string }> {
  const { body } = await edge.call('ada', 'POST', '/realtime/token', { body: request });
  const [url, token] = [String(body.url), String(body.token)];
  const socket = world.client(url, token);
  await connected(socket);
  const answer = (await socket.emitWithAck('vnc:watch', { containerId: desktop })) as WatchAck;
  return { socket, ticketId: String(body.id), viewerId: answer.ok ? answer.viewerId : '', token, url };
}

test('the edge lists the viewers of all links, and disconnects one of them', async () => {
  const own = await watching({ mode: 'control' });
  const link = await watching({ containerId: desktop });
  await own.socket.emitWithAck('vnc:control', { containerId: desktop, action: 'request' });
  const { status, body } = await edge.call('ada', 'GET', `/containers/${desktop}/viewers`);
  expect(status).toBe(200);
  const { items, control } = Viewers.parse(body);
  expect(items.map(({ id, ticketId, control: controls }) => [id, ticketId, controls])).toEqual([
    [own.viewerId, own.ticketId, true],
    [link.viewerId, link.ticketId, false],
  ]);
  expect(control).toEqual({ type: 'viewer', viewerId: own.viewerId, userId: 'ada' });
  const viewer = `/containers/${desktop}/viewers/${link.viewerId}`;
  expect((await edge.call('bob', 'DELETE', viewer)).status).toBe(404);
  expect((await edge.call('ada', 'DELETE', viewer)).status).toBe(204);
  await waitFor('it to be disconnected', () => !link.socket.connected);
  expect((await edge.call('ada', 'DELETE', viewer)).body).toMatchObject({
    statusCode: 404,
    code: 'not_found',
  });
  expect((await edge.call('bob', 'GET', `/containers/${desktop}/viewers`)).status).toBe(404);
  expect(own.socket.connected).toBe(true);
});

test('a link revoked at the edge is closed at the relay and no longer works', async () => {
  const link = await watching({ containerId: desktop, mode: 'control' });
  expect((await edge.call('bob', 'DELETE', `/realtime/tokens/${link.ticketId}`)).status).toBe(204);
  expect((await edge.call('ada', 'DELETE', '/realtime/tokens/none')).status).toBe(404);
  expect(link.socket.connected).toBe(true);
  expect((await edge.call('ada', 'DELETE', `/realtime/tokens/${link.ticketId}`)).status).toBe(204);
  await waitFor('it to be closed', () => !link.socket.connected);
  const again = await connected(world.client(link.url, link.token));
  expect(again?.data?.code).toBe('unauthenticated');
  expect(await world.queue.client.pttl(keys.revoked('ada'))).toBeGreaterThan(86_000_000);
});

test('the edge returns a screenshot of the desktop unchanged from its host', async () => {
  const path = `/containers/${desktop}/screenshot`;
  const asking = edge.raw('ada', `${path}?format=jpeg`);
  const { call, answer: reply } = await waitFor('the call', () => calls.taken.at(0));
  expect(call).toMatchObject({
    userId: 'ada',
    containerId: desktop,
    credential: expect.stringMatching(/^token:[0-9a-f]{32}$/),
  });
  const bytes = Buffer.from([255, 216, 0, 10, 13]);
  reply(picture(bytes, 'jpeg'));
  const answer = await asking;
  expect([answer.status, answer.headers.get('Content-Type')]).toEqual([200, 'image/jpeg']);
  expect([answer.headers.get('X-Screen-Width'), answer.headers.get('X-Incarnation')]).toEqual(['4', '0']);
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(bytes);
  const pinned = await edge.raw('ada', path, { headers: { 'If-Match': '"1"' } });
  expect([pinned.status, (await pinned.json()).code]).toEqual([409, 'gone_incarnation']);
  expect((await edge.raw('ada', path, { headers: { 'If-Match': '1' } })).status).toBe(400);
  expect((await edge.call('bob', 'GET', path)).status).toBe(404);
  expect((await edge.call('ada', 'GET', `${path}?format=gif`)).status).toBe(400);
  await world.queue.client.hset(keys.container('ada', desktop), { state: 'paused' });
  expect((await edge.call('ada', 'GET', path)).body).toMatchObject({ statusCode: 409, code: 'paused' });
});
