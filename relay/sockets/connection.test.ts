import { StoredEvent } from '@warmwind/shared/contract/events';
import { API_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { storedEvent } from '../../infra/quality/testing/events.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { collect, connected, metric, ORIGIN, SECRET, subscribe, ticket, World } from '../testing/world.ts';

const PREVIOUS = 'the-secret-before-of-thirty-two-characters';
let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

test('only a relay ticket opens a socket: every other token is unauthenticated', async () => {
  const { url } = await world.node();
  const unsigned = `${btoa('{"alg":"none"}')}.${btoa('{"sub":"ann","jti":"1","aud":"warmwind-relay","exp":9999999999}')}.`;
  const wrong: unknown[] = [
    await ticket('ann', { aud: API_AUDIENCE }),
    await ticket('ann', { secret: 'another-secret-of-at-least-32-characters' }),
    await ticket('ann', { expiresIn: -1 }),
    await ticket('bad {user}'),
    unsigned.replaceAll('=', ''),
    'x'.repeat(20_000),
    '',
    undefined,
    42,
    { token: 'x' },
  ];
  for (const token of wrong) {
    const refused = await connected(world.client(url, '', { auth: { token } }));
    expect(refused?.data?.code).toBe('unauthenticated');
  }
  expect(await connected(world.client(url, await ticket('ann')))).toBeUndefined();
});

test('tickets of the previous secret are accepted while secrets rotate', async () => {
  const { url } = await world.node({ AUTH_SECRET_PREVIOUS: PREVIOUS });
  for (const secret of [SECRET, PREVIOUS]) {
    expect(await connected(world.client(url, await ticket('ann', { secret })))).toBeUndefined();
  }
});

test('a socket is closed when its ticket expires', async () => {
  const { url } = await world.node();
  const socket = world.client(url, await ticket('ann', { expiresIn: 2 }));
  expect(await connected(socket)).toBeUndefined();
  await waitFor('the socket to be closed', () => !socket.connected);
  socket.connect();
  expect((await connected(socket))?.data?.code).toBe('unauthenticated');
});

test('a page of a foreign origin is refused; allowed origins and clients without an origin connect', async () => {
  const { url } = await world.node();
  const token = await ticket('ann');
  const from = (origin: string) => world.client(url, token, { extraHeaders: { Origin: origin } });
  for (const origin of ['https://evil.example', `${ORIGIN}.evil.example`, 'null', `${url}.evil.example`]) {
    const refused = await connected(from(origin));
    expect([origin, refused?.data?.code]).toEqual([origin, 'forbidden']);
    expect(refused?.message).toContain('CORS_ORIGINS');
    if (origin !== 'null') expect(refused?.message).toContain(`${origin}, is not permitted`);
  }
  expect(await connected(from(ORIGIN))).toBeUndefined();
  expect(await connected(world.client(url, token))).toBeUndefined();
});

test('pages of EDGE_ORIGINS connect without an entry in CORS_ORIGINS, by either local name', async () => {
  const { url } = await world.node({ EDGE_ORIGINS: 'https://api.example, http://127.0.0.1:8080' });
  const token = await ticket('ann');
  const from = (origin: string) => connected(world.client(url, token, { extraHeaders: { Origin: origin } }));
  for (const origin of ['https://api.example', 'http://127.0.0.1:8080', 'http://localhost:8080', ORIGIN]) {
    expect([origin, await from(origin)]).toEqual([origin, undefined]);
  }
  for (const origin of [
    'http://api.example',
    'http://127.0.0.1:8081',
    'http://localhost',
    'http://127.0.0.1.evil:8080',
  ]) {
    expect([origin, (await from(origin))?.data?.code]).toEqual([origin, 'forbidden']);
  }
});

test("a client that sends the relay's own address as its origin connects, as python-socketio does", async () => {
  const { url } = await world.node();
  const token = await ticket('ann');
  const { host, port } = new URL(url);
  const from = (headers: object) => connected(world.client(url, token, { extraHeaders: headers }));
  expect(await from({ Origin: url })).toBeUndefined();
  // Behind a proxy that ends TLS, at the standard port.
  expect(await from({ Host: 'relay.example', Origin: 'https://relay.example' })).toBeUndefined();
  expect(await from({ Host: 'relay.example:443', Origin: 'https://relay.example' })).toBeUndefined();
  for (const Origin of [`http://evil.example:${port}`, `http://${host}@evil.example`, `http://x.${host}`]) {
    expect([Origin, (await from({ Origin }))?.data?.code]).toEqual([Origin, 'forbidden']);
  }
});

test('only WebSockets are served, and no origin is reflected', async () => {
  const { url } = await world.node();
  const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: ORIGIN } });
  expect(answer.status).toBe(400);
  expect(answer.headers.get('access-control-allow-origin')).toBeNull();
});

test("another user's rooms, unknown rooms and malformed names get the same not_found", async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const container = await world.container('ann');
  const socket = world.client(url, await ticket('mallory'));
  await connected(socket);
  const rooms = [
    `job:${job}`,
    `container:${container}`,
    'user:ann',
    'job:unknown',
    'container:x}:y',
    'job:',
    'nothing',
    '',
    'job:../../ann',
    `job:${'x'.repeat(150)}`,
  ];
  const answers = await Promise.all(rooms.map((room) => subscribe(socket, room)));
  for (const answer of answers) {
    expect(answer).toMatchObject({ ok: false, code: 'not_found' });
    expect(answer).toEqual(answers[0]);
  }
  expect(await metric(url, 'warmwind_relay_subscriptions_denied_total{code="not_found"}')).toBe(rooms.length);
});

test("a share ticket opens its desktop's room and nothing else of its owner", async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const [shared, other] = [await world.container('ann'), await world.container('ann')];
  const socket = world.client(url, await ticket('ann', { containerId: shared }));
  await connected(socket);
  expect(await subscribe(socket, `container:${shared}`)).toEqual({ ok: true, truncated: false });
  for (const room of [`container:${other}`, `job:${job}`, 'user:ann']) {
    expect(await subscribe(socket, room)).toMatchObject({ ok: false, code: 'not_found' });
  }
});

test('the output, labels and host of a desktop are sent to its owner, and to no guest: live, from the log, as a snapshot', async () => {
  const { url } = await world.node();
  const exit = { exitCode: 3, oomKilled: false, output: `${'x'.repeat(5000)} the end` };
  const own = { exit: JSON.stringify(exit), labels: '{"customer":"acme"}', host: 'host-7', warm: '1' };
  const id = await world.container('ann', { state: 'failed', ...own });
  const room = `container:${id}` as const;
  const watch = async (claims: object) => {
    const socket = world.client(url, await ticket('ann', claims));
    const events = collect(socket);
    await connected(socket);
    return { socket, events };
  };
  const [owner, guest] = [await watch({}), await watch({ containerId: id })];
  // There are no events: both are sent a snapshot.
  for (const { socket } of [owner, guest])
    expect(await subscribe(socket, room)).toMatchObject({ truncated: true });
  await waitFor('the snapshots', () => owner.events.length === 1 && guest.events.length === 1);
  await world.appendTo(room, 'ann', storedEvent('container.failed', { containerId: id, exit }));
  await waitFor('the events', () => owner.events.length === 2 && guest.events.length === 2);
  const late = await watch({ containerId: id });
  await subscribe(late.socket, room);
  await waitFor('the log', () => late.events.length > 0);
  const shown = [
    expect.objectContaining({ type: 'container.snapshot', data: expect.objectContaining({ id }) }),
    expect.objectContaining({ type: 'container.failed', data: expect.objectContaining({ containerId: id }) }),
  ];
  expect(owner.events).toEqual(shown);
  expect(guest.events).toEqual(shown);
  const outputs = owner.events.map(({ data }) => (data as { exit: typeof exit }).exit.output);
  for (const output of outputs) expect(output).toMatch(/x the end$/);
  expect(outputs[0]?.length).toBe(2048);
  expect(owner.events[0]?.data).toMatchObject({ labels: { customer: 'acme' }, host: 'host-7', warm: true });
  for (const { data } of [...guest.events, ...late.events])
    expect(JSON.stringify(data)).not.toMatch(/exit|labels|acme|host|warm/);
  const parsed = StoredEvent.parse(guest.events[0]);
  expect(parsed).toMatchObject({ type: 'container.snapshot', data: { id, state: 'failed' } });
});

test('a draining node reports it, refuses new sockets, and closes the others so that they reconnect', async () => {
  const node = await world.node();
  const token = await ticket('ann');
  const sockets = Array.from({ length: 10 }, () => world.client(node.url, token));
  await Promise.all(sockets.map(connected));
  const received = sockets.map(collect);
  const reasons: string[] = [];
  for (const socket of sockets) socket.on('disconnect', (reason) => reasons.push(reason));
  node.beginDrain();
  const ready = await fetch(`${node.url}/health/ready`);
  expect([ready.status, (await ready.json()).status]).toEqual([503, 'shutting_down']);
  expect((await fetch(`${node.url}/health/live`)).status).toBe(200);
  expect(await connected(world.client(node.url, token))).toBeInstanceOf(Error);
  await node.drain();
  await waitFor('every socket to be closed', () => reasons.length === 10);
  expect(new Set(reasons)).toEqual(new Set(['transport close']));
  for (const events of received) expect(events).toEqual([{ withinMs: 200 }]);
});

test('SIGTERM ends a node with exit code 0 while sockets are connected and Redis is away', async () => {
  const relay = await world.process();
  const socket = world.client(relay.url, await ticket('ann'));
  await connected(socket);
  await world.realtime.kill();
  expect(await relay.end('SIGTERM')).toBe(0);
  await world.realtime.restart();
});
