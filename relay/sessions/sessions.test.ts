import { WINDOW_BYTES } from '@warmwind/shared/runtime/session/frames';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { SessionEndedError, type SessionHandler } from '../../workers/sessions/handler.ts';
import {
  bounded,
  bytesOf,
  echo,
  KIND,
  readAll,
  sessionClient,
  startSessionHost,
  writeAll,
} from '../testing/session-host.ts';
import { type TestNode, World } from '../testing/world.ts';

let world: World;
let node: TestNode;
beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

const open = async (handler: SessionHandler, options: Parameters<typeof startSessionHost>[2] = {}) => {
  node = await world.node();
  const { host, containerId } = await startSessionHost(world, handler, options);
  const session = await sessionClient(world, node.url).session(KIND, { containerId });
  return { host, containerId, session };
};

/** A handler that waits for the end of its session, and the codes of those ends. */
function waiting() {
  const seen: { ended?: unknown } = {};
  const handler: SessionHandler = ({ signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        seen.ended = signal.reason;
        reject(signal.reason);
      });
    });
  return { seen, handler };
}

test('an echo session returns its bytes, and the result follows the last byte', async () => {
  const { session, host } = await open(echo);
  const sent = bytesOf(3 * WINDOW_BYTES + 12_345);
  const [received] = await Promise.all([readAll(session.readable), writeAll(session.writable, sent)]);
  expect(received.equals(sent)).toBe(true);
  expect(await session.closed).toEqual({ inputsDropped: 0 });
  expect([session.incarnation, host.size]).toEqual([3, 0]);
});

test('bytes arrive once and in order through two kills of the relay', async () => {
  const relay = await world.process();
  const { containerId } = await startSessionHost(world, echo);
  const session = await sessionClient(world, relay.url).session(KIND, { containerId });
  const sent = bytesOf(8 * WINDOW_BYTES);
  const parts: Uint8Array[] = [];
  let received = 0;
  const reading = (async () => {
    for await (const part of session.readable) {
      parts.push(part);
      received += part.length;
    }
  })();
  const writing = writeAll(session.writable, sent);
  for (const share of [0.2, 0.6]) {
    await waitFor('some bytes', () => received > sent.length * share);
    await relay.end('SIGKILL');
    await relay.start();
  }
  await Promise.all([reading, writing, session.closed]);
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
}, 60_000);

test('bytes arrive once and in order when connections break in mid-stream', async () => {
  const { session } = await open(echo);
  const sent = bytesOf(6 * WINDOW_BYTES);
  const parts: Uint8Array[] = [];
  let breaks = 0;
  const reading = (async () => {
    let received = 0;
    for await (const part of session.readable) {
      parts.push(part);
      received += part.length;
      if (received < ((breaks + 1) * sent.length) / 5) continue;
      breaks += 1;
      for (const socket of node.io.sockets.sockets.values()) socket.conn.close();
    }
  })();
  await Promise.all([reading, writeAll(session.writable, sent), session.closed]);
  expect(breaks).toBeGreaterThan(2);
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
});

test('bytes arrive once and in order when Redis disconnects the subscribers', async () => {
  const { session } = await open(echo);
  const sent = bytesOf(4 * WINDOW_BYTES);
  const parts: Uint8Array[] = [];
  let disconnects = 0;
  const reading = (async () => {
    let received = 0;
    for await (const part of session.readable) {
      parts.push(part);
      received += part.length;
      if (received < ((disconnects + 1) * sent.length) / 3) continue;
      disconnects += 1;
      await world.realtime.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
  })();
  await Promise.all([reading, writeAll(session.writable, sent), session.closed]);
  expect(disconnects).toBeGreaterThan(1);
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
}, 60_000);

test('a client that does not read stops the sender at the credit, and loses nothing', async () => {
  let written = 0;
  const total = 5 * WINDOW_BYTES;
  const { session, host } = await open(async ({ writable }) => {
    const writer = writable.getWriter();
    for (let at = 0; at < total; at += 65_536) {
      await writer.write(bytesOf(65_536));
      written += 65_536;
    }
    return { inputsDropped: 0 };
  });
  await waitFor('a full window', () => written >= WINDOW_BYTES);
  expect(written).toBeLessThanOrEqual(WINDOW_BYTES + 65_536);
  expect(host.capacity).toBeLessThanOrEqual(2 * WINDOW_BYTES);
  expect((await readAll(session.readable)).length).toBe(total);
});

test('a container that does not read stops the client at the credit', async () => {
  const { handler } = waiting();
  const { session, host } = await open(handler);
  const writer = session.writable.getWriter();
  let written = 0;
  const writing = (async () => {
    for (;;) {
      await writer.write(bytesOf(65_536));
      written += 65_536;
    }
  })().catch(() => undefined);
  await waitFor('a full window', () => written >= WINDOW_BYTES);
  await waitFor('all to have arrived', () => host.capacity >= WINDOW_BYTES);
  expect(written).toBeLessThanOrEqual(WINDOW_BYTES + 65_536);
  expect(host.capacity).toBeLessThanOrEqual(WINDOW_BYTES + 8192);
  session.abort();
  await writing;
});

test.each([
  ['deadline_exceeded', { maxMs: 500 }],
  ['idle_timeout', { idleMs: 500 }],
] as const)('a session ends as %s', async (code, bounds) => {
  const { seen, handler } = waiting();
  const { session } = await open(handler, { findCommand: bounded(bounds) });
  await expect(session.closed).rejects.toMatchObject({ name: 'SessionClosedError', code });
  await expect(session.readable.getReader().read()).rejects.toMatchObject({ code });
  expect(seen.ended).toMatchObject({ code });
});

test('a session takes no more bytes than its kind allows', async () => {
  const { session } = await open(echo, { findCommand: bounded({ maxInputBytes: 100_000 }) });
  writeAll(session.writable, bytesOf(200_000)).catch(() => undefined);
  await expect(session.closed).rejects.toMatchObject({ code: 'too_large' });
});

test('either side can end a session at once', async () => {
  const { seen, handler } = waiting();
  const { session } = await open(handler);
  session.abort('enough');
  await expect(session.closed).rejects.toMatchObject({ code: 'aborted', message: 'enough' });
  await waitFor('the host to know', () => seen.ended);
  expect(seen.ended).toMatchObject({ code: 'aborted', message: 'enough' });

  const refuses = await open(async () => {
    throw new SessionEndedError('protocol_error', 'Speak another protocol.');
  });
  await expect(refuses.session.closed).rejects.toMatchObject({
    code: 'protocol_error',
    message: 'Speak another protocol.',
  });
  const fails = await open(async () => {
    throw new Error('a secret of the host');
  });
  await expect(fails.session.closed).rejects.toMatchObject({
    code: 'failed',
    message: 'The session failed. Open another one.',
  });
});

test('a signal ends the opening and the session', async () => {
  const { containerId, session } = await open(waiting().handler);
  session.abort();
  const relay = sessionClient(world, node.url);
  const reason = new Error('no longer wanted');
  await expect(relay.session(KIND, { containerId, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const controller = new AbortController();
  const opened = await relay.session(KIND, { containerId, signal: controller.signal });
  controller.abort(reason);
  await expect(opened.closed).rejects.toMatchObject({ code: 'aborted', message: 'no longer wanted' });
});

test('sessions end with their container, and with their worker', async () => {
  const first = await open(waiting().handler);
  first.host.ended(first.containerId);
  await expect(first.session.closed).rejects.toMatchObject({ code: 'container_ended' });
  const second = await open(waiting().handler);
  await second.host.close();
  await expect(second.session.closed).rejects.toMatchObject({ code: 'worker_stopping' });
});
