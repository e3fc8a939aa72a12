import { containerActions } from '@warmwind/shared/contract/commands/container-actions';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { TestCallHost } from '../testing/call-host.ts';
import { connected, ticket, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

const EVENT = 'container:actions';
const input = { actions: [{ type: 'move', x: 1, y: 2 }] };
const ANSWER = {
  results: [{ ok: true, changed: false, tookMs: 1 }],
  settled: 'off',
  cursor: { x: 1, y: 2 },
  screen: { width: 800, height: 600 },
  incarnation: 3,
};

type Options = { user?: string; owner?: string; env?: Record<string, string> };

/** A node, a container with its host, and a socket. */
async function start({ user = 'ann', owner = 'ann', env = {} }: Options = {}) {
  const { url } = await world.node(env);
  const containerId = await world.container(owner, { state: 'running', fence: 3 });
  const host = await TestCallHost.start(world, [containerActions]);
  host.host.runs({ userId: owner, containerId }, 3);
  const open = async (claims: Parameters<typeof ticket>[1]) => {
    const socket = world.client(url, await ticket(user, claims));
    await connected(socket);
    const send = (more: object = {}) =>
      socket.timeout(8000).emitWithAck(EVENT, { containerId, input, ...more });
    return { socket, send };
  };
  const nth = (n = 1) => waitFor(`call ${n}`, () => host.taken.at(n - 1));
  return { containerId, host, nth, open, ...(await open({ mode: 'control', credential: 'token:t' })) };
}

test('a call by the socket reaches the host, and its pictures come back as bytes', async () => {
  const { send, nth } = await start();
  const asked = send();
  const { call, answer } = await nth();
  expect(call).toMatchObject({ userId: 'ann', incarnation: 3, credential: 'token:t', input });
  const data = Buffer.from([255, 216, 0, 1]);
  const picture = { frame: 'f-1', width: 2, height: 2, format: 'jpeg', data: data.toString('base64') };
  answer({ ...ANSWER, screenshot: picture });
  expect(await asked).toEqual({
    ok: true,
    incarnation: 3,
    replayed: false,
    result: { ...ANSWER, screenshot: { ...picture, data } },
  });
});

test('the same key and input is carried out once', async () => {
  const { send, nth, host } = await start();
  const first = send({ idempotencyKey: 'k' });
  (await nth()).answer(ANSWER);
  expect(await first).toMatchObject({ ok: true, replayed: false });
  expect(await send({ idempotencyKey: 'k' })).toMatchObject({ ok: true, replayed: true, result: ANSWER });
  const other = { idempotencyKey: 'k', input: { actions: [{ type: 'wait', ms: 1 }] } };
  expect(await send(other)).toMatchObject({ ok: false, code: 'conflict' });
  expect(host.taken).toHaveLength(1);
});

test('a repeated call by the socket gets its results, without pictures that were too large to keep', async () => {
  const { send, nth, host } = await start();
  const first = send({ idempotencyKey: 'k' });
  const data = Buffer.alloc(100_000, 1);
  const picture = { frame: 'f-1', width: 2, height: 2, format: 'jpeg', data: data.toString('base64') };
  const [result] = ANSWER.results;
  (await nth()).answer({ ...ANSWER, results: [{ ...result, screenshot: picture }], screenshot: picture });
  expect(await first).toMatchObject({ ok: true, replayed: false, result: { screenshot: { data } } });
  expect(await send({ idempotencyKey: 'k' })).toEqual({
    ok: true,
    incarnation: 3,
    replayed: true,
    result: { ...ANSWER, picturesOmitted: true },
  });
  expect(host.taken).toHaveLength(1);
});

test('a socket that disconnects aborts its call', async () => {
  const { send, socket, nth } = await start();
  send().catch(() => undefined);
  const { call } = await nth();
  socket.disconnect();
  await waitFor('the abort', () => call.signal.aborted);
});

test('viewers, share links, other users, wrong incarnations and long texts are refused', async () => {
  const { send, open, containerId, host } = await start();
  expect(await (await open({ mode: 'view' })).send()).toMatchObject({ ok: false, code: 'forbidden' });
  const guest = await open({ mode: 'control', containerId });
  expect(await guest.send()).toMatchObject({ ok: false, code: 'not_found' });
  expect(await send({ containerId: 'unknown' })).toMatchObject({ ok: false, code: 'not_found' });
  expect(await send({ incarnation: 2 })).toMatchObject({ ok: false, code: 'gone_incarnation' });
  const typing = (length: number) => ({ input: { actions: [{ type: 'type', text: 'é'.repeat(length) }] } });
  expect(await send(typing(4001))).toMatchObject({ ok: false, code: 'bad_request' });
  const bob = await start({ user: 'bob' });
  expect(await bob.send()).toMatchObject({ ok: false, code: 'not_found' });
  expect([...host.taken, ...bob.host.taken]).toEqual([]);
});

test('calls by the socket count against the limits of actions', async () => {
  const env = { RATE_LIMITS: '{"containers.actions": ["2/min"]}' };
  const { send, nth } = await start({ user: 'cy', owner: 'cy', env });
  for (const n of [1, 2]) {
    const asked = send();
    (await nth(n)).answer(ANSWER);
    expect(await asked).toMatchObject({ ok: true });
  }
  expect(await send()).toMatchObject({ ok: false, code: 'rate_limited' });
});
