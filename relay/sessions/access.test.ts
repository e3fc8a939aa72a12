import { randomUUID } from 'node:crypto';
import { SESSION_COMMANDS } from '@warmwind/shared/contract/sessions/registry';
import { WINDOW_BYTES } from '@warmwind/shared/runtime/session/frames';
import * as fc from 'fast-check';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import type { SessionHandler } from '../../workers/sessions/handler.ts';
import { LIMITS } from '../limits.ts';
import { bytesOf, echo, KIND, startSessionHost, USER } from '../testing/session-host.ts';
import { connected, metric, type TestNode, ticket, World } from '../testing/world.ts';

let world: World;
let node: TestNode;
beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

type Answer = { ok: boolean; code?: string; message?: string; sessionId: string };
const ask = (socket: Socket, event: string, argument: unknown): Promise<Answer> =>
  socket.timeout(8000).emitWithAck(event, argument);
const client = async (user = USER, claims: Parameters<typeof ticket>[1] = { mode: 'control' }) => {
  const socket = world.client(node.url, await ticket(user, claims));
  expect(await connected(socket)).toBeUndefined();
  return socket;
};
const host = async (handler: SessionHandler = echo, options: Parameters<typeof startSessionHost>[2] = {}) => {
  node = await world.node();
  return startSessionHost(world, handler, options);
};
/** Collects the events of sessions that the relay sends to a socket. */
const collectEvents = (socket: Socket) => {
  const events: [string, Record<string, unknown>][] = [];
  socket.onAny((event: string, argument: Record<string, unknown>) => events.push([event, argument]));
  return {
    events,
    of: (event: string) => events.filter(([name]) => name === event).map(([, argument]) => argument),
  };
};
/** A handler that returns only when its session ends, and the codes of those ends. */
const waiting = () => {
  const ends: string[] = [];
  const handler: SessionHandler = ({ signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        ends.push(signal.reason.code);
        reject(signal.reason);
      });
    });
  return { ends, handler };
};

test('only the owner may open a session, with a control ticket, on a running container', async () => {
  const { host: sessions, containerId } = await host();
  const open = { kind: KIND, containerId, input: {} };
  const stopped = await world.container(USER, { state: 'stopped', fence: 1 });
  const away = await world.container(USER, { state: 'running', fence: 1 });
  const owner = await client();
  const cases: [string, Socket, object, string][] = [
    ['a foreign container', await client('bob'), open, 'not_found'],
    ['no container', owner, { ...open, containerId: randomUUID() }, 'not_found'],
    ['a malformed id', owner, { ...open, containerId: '../etc' }, 'not_found'],
    ['a share link', await client(USER, { mode: 'control', containerId }), open, 'forbidden'],
    [
      "another container's link",
      await client(USER, { mode: 'control', containerId: stopped }),
      open,
      'not_found',
    ],
    ['a ticket to view', await client(USER, { mode: 'view' }), open, 'forbidden'],
    ['a stopped container', owner, { ...open, containerId: stopped }, 'conflict'],
    ['another incarnation', owner, { ...open, incarnation: 2 }, 'gone_incarnation'],
    ['a host that is away', owner, { ...open, containerId: away }, 'unavailable'],
  ];
  for (const [what, socket, argument, code] of cases) {
    expect([what, await ask(socket, 'session:open', argument)]).toEqual([
      what,
      { ok: false, code, message: expect.any(String) },
    ]);
  }
  expect(sessions.size).toBe(0);
  expect(await ask(owner, 'session:open', { ...open, incarnation: 3 })).toMatchObject({
    ok: true,
    incarnation: 3,
  });
});

test('a host refuses an incarnation that differs from that of the record', async () => {
  const { host: sessions, containerId } = await host();
  sessions.runs({ userId: USER, containerId }, 'next', 4);
  const answer = await ask(await client(), 'session:open', { kind: KIND, containerId, input: {} });
  expect(answer).toMatchObject({ ok: false, code: 'gone_incarnation' });
});

test('only its user may attach to a session', async () => {
  const { handler } = waiting();
  const { containerId } = await host(handler);
  const owner = await client();
  const { sessionId } = await ask(owner, 'session:open', { kind: KIND, containerId, input: {} });
  const [bob, guest] = [await client('bob'), await client(USER, { mode: 'control', containerId })];
  for (const [socket, id] of [
    [bob, sessionId],
    [guest, sessionId],
    [owner, `${containerId}.${randomUUID()}`],
    [owner, `${randomUUID()}.${randomUUID()}`],
    [owner, 'x'],
    [owner, '..'],
    [owner, `${sessionId}.x`],
    [owner, ''],
  ] as const) {
    const answer = await ask(socket, 'session:attach', { sessionId: id, received: 0 });
    expect([id, answer]).toEqual([id, { ok: false, code: 'not_found', message: expect.any(String) }]);
  }
  for (const event of ['session:data', 'session:end', 'session:ack', 'session:abort']) {
    const rest = {
      'session:data': { offset: 0, bytes: bytesOf(1) },
      'session:end': { offset: 0 },
      'session:ack': { received: 0, consumed: 0 },
    }[event];
    expect(await ask(bob, event, { sessionId, ...rest })).toMatchObject({ ok: false, code: 'not_found' });
  }
});

test('a newer attachment takes a session over, and the older one is refused', async () => {
  const { containerId } = await host();
  const [first, second] = [await client(), await client()];
  const { sessionId } = await ask(first, 'session:open', { kind: KIND, containerId, input: {} });
  const received = collectEvents(first);
  const other = collectEvents(second);
  expect(await ask(second, 'session:attach', { sessionId, received: 0 })).toMatchObject({
    ok: true,
    sessionId,
  });
  await waitFor('the notice', () => received.of('session:detached').length > 0);
  expect(received.of('session:detached')).toEqual([{ sessionId, reason: 'replaced' }]);
  const data = { sessionId, offset: 0, bytes: bytesOf(10) };
  expect(await ask(first, 'session:data', data)).toMatchObject({ ok: false, code: 'not_found' });
  second.emit('session:data', data);
  await waitFor('the echo', () => other.of('session:data').length > 0);
  expect(Buffer.from(other.of('session:data')[0]?.bytes as Uint8Array).equals(Buffer.from(bytesOf(10)))).toBe(
    true,
  );
});

test('a session whose client stays away is lost, which a later attachment reports', async () => {
  const { ends, handler } = waiting();
  const { containerId } = await host(handler, { graceMs: 300 });
  const first = await client();
  const { sessionId } = await ask(first, 'session:open', { kind: KIND, containerId, input: {} });
  first.disconnect();
  await waitFor('the end of the grace', () => ends.length > 0);
  expect(ends).toEqual(['lost']);
  const second = await client();
  const received = collectEvents(second);
  await ask(second, 'session:attach', { sessionId, received: 0 });
  await waitFor('the end', () => received.of('session:closed').length > 0);
  expect(received.of('session:closed')).toMatchObject([{ sessionId, code: 'lost' }]);
});

test('a client that sends more than its credit ends its session', async () => {
  const { ends, handler } = waiting();
  const { containerId } = await host(handler);
  const socket = await client();
  const received = collectEvents(socket);
  const { sessionId } = await ask(socket, 'session:open', { kind: KIND, containerId, input: {} });
  socket.emit('session:data', { sessionId, offset: WINDOW_BYTES - 5, bytes: bytesOf(10) });
  await waitFor('the end', () => received.of('session:closed').length > 0);
  expect([ends, received.of('session:closed')]).toMatchObject([
    ['protocol_error'],
    [{ code: 'protocol_error' }],
  ]);
});

test('a client that sends twice its credit at once is detached or ended, within bounded memory', async () => {
  const { host: sessions, containerId } = await host(waiting().handler);
  const socket = await client();
  const received = collectEvents(socket);
  const { sessionId } = await ask(socket, 'session:open', { kind: KIND, containerId, input: {} });
  for (let offset = 0; offset < 2 * WINDOW_BYTES; offset += 60_000) {
    socket.emit('session:data', { sessionId, offset, bytes: bytesOf(60_000) });
  }
  await waitFor(
    'an answer',
    () => received.of('session:closed').length + received.of('session:detached').length > 0,
  );
  expect(sessions.capacity).toBeLessThanOrEqual(WINDOW_BYTES + 8192);
});

test('a flood of frames closes its own connection and no other', async () => {
  const { host: sessions, containerId } = await host();
  const [flooding, other] = [await client(), await client()];
  const { sessionId } = await ask(flooding, 'session:open', { kind: KIND, containerId, input: {} });
  for (let i = 0; i < LIMITS.packetsBurst; i++) {
    flooding.emit('session:data', { sessionId, offset: 0, bytes: bytesOf(100) });
    flooding.emit('session:ack', { sessionId: 'none', received: i, consumed: 0 });
  }
  await waitFor('the close', () => flooding.disconnected);
  expect(await ask(other, 'session:open', { kind: KIND, containerId, input: {} })).toMatchObject({
    ok: true,
  });
  expect(sessions.capacity).toBeLessThan(WINDOW_BYTES);
  expect(await metric(node.url, 'warmwind_relay_handler_errors_total')).toBe(0);
});

test('a socket carries a bounded number of sessions', async () => {
  const { containerId } = await host(waiting().handler);
  const socket = await client();
  const open = () => ask(socket, 'session:open', { kind: KIND, containerId, input: {} });
  for (let i = 0; i < LIMITS.sessionsPerSocket; i++) expect((await open()).ok).toBe(true);
  expect(await open()).toMatchObject({ ok: false, code: 'quota_exceeded' });
  expect(await metric(node.url, 'warmwind_relay_sessions')).toBe(LIMITS.sessionsPerSocket);
});

test.each(SESSION_COMMANDS.map((command) => [command.kind, command] as const))(
  '%s: its example is valid, and invalid arguments never reach the host',
  async (kind, command) => {
    expect(command.input.safeParse(command.example).success).toBe(true);
    const { host: sessions, containerId } = await host();
    const socket = await client();
    const valid = { kind, containerId, input: command.example };
    const wrong = fc.oneof(
      fc.constant({ ...valid, more: 1 }),
      fc.constant({ ...valid, input: { ...(command.example as object), unheardOf: 1 } }),
      fc.constant({ ...valid, kind: 'container.unheard-of' }),
      fc.record({ kind: fc.constant(kind), containerId: fc.jsonValue(), input: fc.string() }),
      fc.record({
        ...mapped(valid),
        input: fc.oneof(fc.constant(null), fc.integer(), fc.array(fc.jsonValue())),
      }),
      fc.record({
        ...mapped(valid),
        incarnation: fc.oneof(fc.string(), fc.double({ max: -1 }), fc.constant(0.5)),
      }),
    );
    await fc.assert(
      fc.asyncProperty(wrong, async (argument) => {
        expect(await ask(socket, 'session:open', argument)).toMatchObject({ ok: false, code: 'bad_request' });
      }),
      { numRuns: 60, seed: 7 },
    );
    expect(sessions.size).toBe(0);
  },
);

const mapped = (valid: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(valid).map(([name, value]) => [name, fc.constant(value)]));
