import { once } from 'node:events';
import { WINDOW_BYTES } from '@warmwind/shared/runtime/session/frames';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { SessionEndedError, type SessionHandler } from '../../workers/sessions/handler.ts';
import { bytesOf, echo, startSessionHost, USER } from '../testing/session-host.ts';
import { ORIGIN, type TestNode, ticket, World } from '../testing/world.ts';

let world: World;
let node: TestNode;
beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

const begin = async (handler: SessionHandler) => {
  node = await world.node();
  return startSessionHost(world, handler);
};

/** Opens a WebSocket as a stock client does. */
async function dial(path: string, protocols: string[], origin?: string): Promise<WebSocket> {
  const ws = new WebSocket(node.url.replace('http', 'ws') + path, protocols, origin ? { origin } : {});
  world.onTidy(() => ws.terminate());
  ws.on('error', () => undefined);
  return ws;
}

const offers = async (claims: Parameters<typeof ticket>[1] = { mode: 'control' }, user = USER) => [
  'warmwind',
  `ticket.${await ticket(user, claims)}`,
];

/** The status and code of a refused handshake. */
async function refusal(ws: WebSocket): Promise<{ status: number | undefined; code: unknown }> {
  const [, response] = await once(ws, 'unexpected-response');
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  const body: { code: unknown } = JSON.parse(Buffer.concat(parts).toString());
  return { status: response.statusCode, code: body.code };
}

/** Collects the bytes of a WebSocket until it closes. */
function collect(ws: WebSocket) {
  const parts: Buffer[] = [];
  ws.on('message', (data: Buffer) => parts.push(data));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  return { closed, bytes: () => Buffer.concat(parts) };
}

test('a stock client reads back what it sent, through a break of the subscriptions', async () => {
  const { containerId } = await begin(echo);
  const ws = await dial(`/containers/${containerId}/tunnels/9222`, await offers());
  const { bytes } = collect(ws);
  await once(ws, 'open');
  expect(ws.protocol).toBe('warmwind');
  const sent = bytesOf(3 * WINDOW_BYTES + 12_345);
  for (let at = 0; at < sent.length; at += 100_000) ws.send(sent.subarray(at, at + 100_000));
  await waitFor('some bytes', () => bytes().length > WINDOW_BYTES);
  await world.realtime.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await waitFor('all bytes', () => bytes().length >= sent.length);
  expect(bytes().equals(sent)).toBe(true);
}, 60_000);

test('the bytes that a client sent before it closed reach the container', async () => {
  const received: Uint8Array[] = [];
  let hasEnded = false;
  const { containerId } = await begin(async ({ readable }) => {
    for await (const part of readable) received.push(part);
    hasEnded = true;
    return {};
  });
  const ws = await dial(`/containers/${containerId}/vnc`, await offers());
  await once(ws, 'open');
  ws.send(bytesOf(200_000));
  ws.close();
  await waitFor('the end', () => hasEnded);
  expect(Buffer.concat(received).equals(bytesOf(200_000))).toBe(true);
});

test('the end of the session closes the WebSocket with 1000, and a failure with its code', async () => {
  const { containerId } = await begin(async ({ readable, writable }) => {
    const { value } = await readable.getReader().read();
    if (value?.[0] === 1) throw new SessionEndedError('failed', 'Nothing listens at port 9.');
    const writer = writable.getWriter();
    await writer.write(bytesOf(100_000));
    return {};
  });
  const ends = [];
  for (const first of [0, 1]) {
    const ws = await dial(`/containers/${containerId}/tunnels/9`, await offers());
    const { closed, bytes } = collect(ws);
    await once(ws, 'open');
    ws.send(Buffer.of(first));
    ends.push({ ...(await closed), length: bytes().length });
  }
  expect(ends).toEqual([
    { code: 1000, reason: '', length: 100_000 },
    { code: 1011, reason: 'failed: Nothing listens at port 9.', length: 0 },
  ]);
});

test('a client that does not read stops the sender at the credit', async () => {
  let written = 0;
  const total = 12 * WINDOW_BYTES;
  const chunk = bytesOf(WINDOW_BYTES / 2);
  const { containerId } = await begin(async ({ writable }) => {
    const writer = writable.getWriter();
    for (; written < total; written += chunk.length) await writer.write(chunk);
    return {};
  });
  const ws = await dial(`/containers/${containerId}/vnc`, await offers());
  const { closed, bytes } = collect(ws);
  await once(ws, 'open');
  ws.pause();
  await waitFor('a full window', () => written >= WINDOW_BYTES);
  // Two windows are between the sender and this client, and what the connection buffers.
  expect(written).toBeLessThan(total);
  ws.resume();
  await closed;
  expect(bytes().length).toBe(total);
});

describe('a refused handshake is answered with the flat error', () => {
  const ownPath = '/containers/{id}/tunnels/80';
  const cases: [string, () => Promise<string[]>, { origin?: string; path?: string }, number, string][] = [
    ['without a ticket', async () => ['warmwind'], {}, 401, 'unauthenticated'],
    ['with the ticket alone', async () => (await offers()).slice(1), {}, 401, 'unauthenticated'],
    ['with a forged ticket', () => offers({ secret: 'x'.repeat(40) }), {}, 401, 'unauthenticated'],
    ['with a ticket to view', () => offers({ mode: 'view' }), {}, 403, 'forbidden'],
    ['of another origin', () => offers(), { origin: 'https://evil.example' }, 403, 'forbidden'],
    ['of another user', () => offers({ mode: 'control' }, 'bob'), {}, 404, 'not_found'],
    ['for no container', () => offers(), { path: '/containers/nothing/vnc' }, 404, 'not_found'],
  ];
  test.each(cases)('%s', async (_name, protocols, { origin, path = ownPath }, status, code) => {
    const { containerId } = await begin(echo);
    const ws = await dial(path.replace('{id}', containerId), await protocols(), origin);
    expect(await refusal(ws)).toEqual({ status, code });
  });

  test('with a share link of the container', async () => {
    const { containerId } = await begin(echo);
    const ws = await dial(`/containers/${containerId}/vnc`, await offers({ containerId, mode: 'control' }));
    expect(await refusal(ws)).toEqual({ status: 403, code: 'forbidden' });
  });

  test.each(['0', '65536', '080', '80/', '80?x=1', '8e1'])(
    'at the port %s: there is no such address',
    async (port) => {
      const { containerId } = await begin(echo);
      const ws = await dial(`/containers/${containerId}/tunnels/${port}`, await offers());
      const [, response] = await once(ws, 'unexpected-response');
      expect([401, 404]).toContain(response.statusCode);
    },
  );
});

test('a page of an allowed origin connects, and a text message closes its WebSocket', async () => {
  const { containerId } = await begin(echo);
  const ws = await dial(`/containers/${containerId}/vnc`, await offers(), ORIGIN);
  const { closed } = collect(ws);
  await once(ws, 'open');
  ws.send('text');
  expect(await closed).toEqual({ code: 1003, reason: 'Send binary messages.' });
});

test('a draining node closes the WebSocket with 1012 and ends its session', async () => {
  let reason: unknown;
  const { containerId } = await begin(
    ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
          reject(signal.reason);
        });
      }),
  );
  const ws = await dial(`/containers/${containerId}/vnc`, await offers());
  const { closed } = collect(ws);
  await once(ws, 'open');
  node.beginDrain();
  await node.drain();
  expect((await closed).code).toBe(1012);
  await waitFor('the end of the session', () => reason !== undefined);
});
