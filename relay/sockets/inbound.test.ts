import { CLIENT_EVENTS } from '@warmwind/shared/contract/socket';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { connected, metric, subscribe, type TestNode, ticket, upTo, World } from '../testing/world.ts';

let world: World;
let node: TestNode;

beforeAll(async () => {
  world = await World.start();
  node = await world.node();
});
afterAll(() => world?.stop());

async function open() {
  const socket = world.client(node.url, await ticket('ann'));
  await connected(socket);
  return socket;
}

const alive = async () => {
  const socket = await open();
  const job = await world.job('ann');
  expect(await subscribe(socket, `job:${job}`)).toEqual({ ok: true, truncated: false });
  expect(await metric(node.url, 'warmwind_relay_handler_errors_total')).toBe(0);
  socket.disconnect();
};

test('every event of the contract has a handler that refuses an invalid argument', async () => {
  const socket = await open();
  for (const name of Object.keys(CLIENT_EVENTS)) {
    const answer = await socket.timeout(8000).emitWithAck(name, {});
    expect([name, answer]).toEqual([
      name,
      { ok: false, code: 'bad_request', message: expect.stringMatching(/^Correct /) },
    ]);
  }
  socket.disconnect();
});

test('malformed arguments are answered bad_request', async () => {
  const socket = await open();
  const wrong = [
    undefined,
    null,
    'job:x',
    [],
    {},
    { room: 1 },
    { room: 'x'.repeat(201) },
    { room: 'job:x', after: 'latest' },
    { room: 'job:x', after: 5 },
    { room: 'job:x', more: true },
  ];
  for (const argument of wrong) {
    expect(await socket.emitWithAck('subscribe', argument)).toMatchObject({ ok: false, code: 'bad_request' });
  }
  expect(await socket.emitWithAck('unsubscribe', {})).toMatchObject({ ok: false, code: 'bad_request' });
  expect(await socket.emitWithAck('nothing')).toMatchObject({ ok: false, code: 'bad_request' });
});

test('after random events of a client the node still answers', async () => {
  const name = fc.oneof(fc.constantFrom('subscribe', 'unsubscribe', 'message', '__proto__'), fc.string());
  const argument = fc.oneof(
    fc.jsonValue(),
    fc.record({ room: fc.jsonValue(), after: fc.jsonValue() }),
    fc.uint8Array(),
  );
  const reserved = [
    'connect',
    'connect_error',
    'disconnect',
    'disconnecting',
    'newListener',
    'removeListener',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(name, fc.array(argument, { maxLength: 3 })), { maxLength: 20 }),
      async (sent) => {
        const socket = await open();
        for (const [event, args] of sent) if (!reserved.includes(event)) socket.emit(event, ...args);
        expect(await socket.timeout(5000).emitWithAck('unsubscribe', { room: 'job:x' })).toEqual({
          ok: true,
        });
        socket.disconnect();
      },
    ),
    { numRuns: 40 },
  );
  await alive();
});

test('after random bytes of a connection the node still answers', async () => {
  const packet = fc.oneof(
    fc.string(),
    fc.uint8Array(),
    fc
      .tuple(
        fc.constantFrom('40', '42', '43', '450-', '451-', '40/x,', '41', '6', '2'),
        fc.oneof(fc.json(), fc.string()),
      )
      .map((p) => p.join('')),
  );
  const token = await ticket('ann');
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(packet, { maxLength: 10 }), async (joined, packets) => {
      const ws = new WebSocket(`${node.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
      await new Promise((resolve) => ws.once('message', resolve));
      const closed = new Promise((resolve) => ws.once('close', resolve));
      ws.on('error', () => undefined);
      if (joined) ws.send(`40${JSON.stringify({ token })}`);
      for (const data of packets) if (ws.readyState === ws.OPEN) ws.send(data);
      ws.close();
      await closed;
    }),
    { numRuns: 60 },
  );
  await alive();
});

test('a message above 64 KB closes its connection; a smaller one does not', async () => {
  const socket = await open();
  const below = 'x'.repeat(60_000);
  expect(await socket.emitWithAck('subscribe', { room: below })).toMatchObject({ code: 'bad_request' });
  socket.emit('subscribe', { room: 'x'.repeat(70_000) });
  await waitFor('the connection to be closed', () => !socket.connected);
  await alive();
});

test('a message in endless fragments closes the connection', async () => {
  const ws = new WebSocket(`${node.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  await new Promise((resolve) => ws.once('message', resolve));
  const closed = new Promise((resolve) => ws.once('close', resolve));
  ws.on('error', () => undefined);
  for (let i = 0; i < 40; i++) ws.send('2', { fin: false });
  expect(await closed).toBe(1008);
});

test('events above the limit are answered rate_limited, and a flood closes the connection', async () => {
  const socket = await open();
  const answers = await Promise.all(
    Array.from({ length: 400 }, () => socket.emitWithAck('unsubscribe', { room: 'job:x' })),
  );
  const limited = answers.filter((answer) => answer.code === 'rate_limited').length;
  expect(limited).toBeGreaterThan(50);
  expect(answers.filter((answer) => answer.ok)).toHaveLength(400 - limited);
  for (let i = 0; i < 5000; i++) socket.emit('unsubscribe', { room: 'job:x' });
  await waitFor('the connection to be closed', () => !socket.connected);
  expect(await metric(node.url, 'warmwind_relay_inbound_dropped_total{reason="flood"}')).toBeGreaterThan(0);
  await alive();
});

test('a connection that never shows a ticket is closed', async () => {
  const ws = new WebSocket(`${node.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  expect(await new Promise((resolve) => ws.once('close', resolve))).toBeDefined();
});

test('a socket holds a bounded number of rooms', async () => {
  const socket = await open();
  const answers: string[] = [];
  const held = async () => {
    const ack = await subscribe(socket, `job:${await world.job('ann')}`);
    if (ack.ok || ack.code !== 'rate_limited') answers.push(ack.ok ? 'ok' : ack.code);
    return answers.length > LIMITS.roomsPerSocket;
  };
  await waitFor('one room too many', async () => {
    for (let i = 0; i < 20; i++) if (await held()) return true;
    return false;
  });
  expect(answers.filter((answer) => answer === 'ok')).toHaveLength(LIMITS.roomsPerSocket);
  expect(answers.at(-1)).toBe('quota_exceeded');
});

test("a user's lookups are limited over all its sockets, without effect on another user", async () => {
  const token = await ticket('eve');
  const sockets = await Promise.all(
    upTo(15).map(async () => {
      const socket = world.client(node.url, token);
      await connected(socket);
      return socket;
    }),
  );
  const rooms = upTo(LIMITS.eventsBurst).map(() => `job:${crypto.randomUUID()}`);
  const answers = await Promise.all(
    sockets.flatMap((socket) => rooms.map((room) => subscribe(socket, room))),
  );
  const refused = answers.filter((answer) => !answer.ok && answer.message.startsWith('More than 200'));
  expect(refused.length).toBeGreaterThan(0);
  const headers = { Authorization: `Bearer ${token}` };
  const responses = await Promise.all(upTo(400).map(() => fetch(`${node.url}/jobs/x/end`, { headers })));
  const tooMany = responses.find(({ status }) => status === 429);
  expect(tooMany?.headers.get('Retry-After')).toBe('1');
  await alive();
  for (const socket of sockets) socket.disconnect();
});
