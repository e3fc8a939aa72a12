import { keys } from '@warmwind/shared/keys';
import { Viewers, type WatchAck } from '@warmwind/shared/screen';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestHost } from '../../relay/testing/host.ts';
import { connected, World } from '../../relay/testing/world.ts';
import { AUTH_SECRET, startTestEdge, type TestEdge } from '../edge/testing.ts';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';

let edge: TestEdge;
let world: World;
let desktop: string;
let host: TestHost;

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
  host = await TestHost.start(world, desktop, 1000);
});
afterAll(async () => {
  await world?.stop();
  await edge?.stop();
});

/** A ticket of the edge's, and a socket that watches the desktop with it. */
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

test('a link that is revoked at the edge is closed at the relay, and opens nothing any more', async () => {
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

test('a picture of the desktop comes through the edge as its host took it', async () => {
  const path = `/containers/${desktop}/screenshot`;
  const asking = edge.raw('ada', `${path}?format=jpeg`);
  const request = await waitFor('the request', () => host.heard.find((said) => said.t === 'screenshot'));
  const picture = Buffer.from([255, 216, 0, 10, 13]);
  await host.reply(request.id, { ok: true, width: 1, height: 1, format: 'jpeg' }, picture);
  const answer = await asking;
  expect([answer.status, answer.headers.get('Content-Type')]).toEqual([200, 'image/jpeg']);
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(picture);
  expect((await edge.call('bob', 'GET', path)).status).toBe(404);
  expect((await edge.call('ada', 'GET', `${path}?format=gif`)).status).toBe(400);
  await world.queue.client.hset(keys.container('ada', desktop), { state: 'paused' });
  expect((await edge.call('ada', 'GET', path)).body).toMatchObject({ statusCode: 409, code: 'conflict' });
});
