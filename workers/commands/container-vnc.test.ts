import { Control, screenKeys } from '@warmwind/shared/contract/screen';
import { moveControl } from '@warmwind/shared/engine/scripts/control.lua';
import { parseJson } from '@warmwind/shared/runtime/json';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { asDesktop, ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { freePort } from '../../infra/quality/testing/port.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createRelay } from '../../relay/app.ts';
import { readConfig } from '../../relay/config.ts';
import { SECRET, ticket } from '../../relay/testing/world.ts';
import { connect } from '../../shared/client/client.ts';
import type { ClientSession } from '../../shared/client/session.ts';
import { keyEvent, pointerEvent, updateRequest } from '../screen/rfb/messages.ts';
import { ByteReader } from '../sessions/reader.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';

let fleet: Fleet;
let desktop: Submitted;
let relay: ReturnType<typeof createRelay>;
let url: string;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
  desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  const log = createLog('relay');
  log.level = 'silent';
  const env = {
    REDIS_QUEUE_URL: fleet.queueRedis.url,
    REDIS_REALTIME_URL: fleet.realtime.url,
    AUTH_SECRET: SECRET,
  };
  relay = createRelay(readConfig(env), log);
  const { server, port } = await listen(relay.http, '127.0.0.1', await freePort());
  relay.attach(server);
  url = `http://127.0.0.1:${port}`;
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await fleet.realtime.client.del(screenKeys.control(desktop.containerId));
});
afterAll(async () => {
  await relay?.close();
  await fleet?.stop();
});

/** Opens a session and runs the RFB handshake. */
async function greet(): Promise<{
  session: ClientSession<'container.vnc'>;
  read: (count: number) => Promise<Buffer>;
  send: ((...messages: Buffer[]) => Promise<void>) & { end: () => void };
  size: { width: number; height: number };
}> {
  const client = connect({ url, token: () => ticket(desktop.userId, { mode: 'control' }) });
  ends.push(() => client.close());
  const session = await client.session('container.vnc', { containerId: desktop.containerId });
  const { read } = new ByteReader(session.readable);
  const writer = session.writable.getWriter();
  const send = Object.assign((...messages: Buffer[]) => writer.write(Buffer.concat(messages)), {
    end: () => {
      writer.close().catch(() => undefined);
      // Bytes that the desktop still sends are skipped.
      (async () => {
        for (;;) await read(1);
      })().catch(() => undefined);
    },
  });
  expect((await read(12)).toString()).toBe('RFB 003.008\n');
  await send(Buffer.from('RFB 003.008\n'));
  expect([...(await read((await read(1)).readUInt8()))]).toContain(1);
  // Requested as not shared: other viewers stay nevertheless.
  await send(Buffer.of(1), Buffer.of(0));
  expect((await read(4)).readUInt32BE()).toBe(0);
  const init = await read(24);
  await read(init.readUInt32BE(20));
  return { session, read, send, size: { width: init.readUInt16BE(0), height: init.readUInt16BE(2) } };
}

/** Reads one update of raw rectangles in the server's pixel format. @returns the number of pixels */
async function readRaw(read: (count: number) => Promise<Buffer>): Promise<number> {
  expect((await read(1)).readUInt8()).toBe(0);
  const count = (await read(3)).readUInt16BE(1);
  let pixels = 0;
  for (let left = count; left > 0; left--) {
    const head = await read(12);
    expect(head.readInt32BE(8)).toBe(0);
    const [w, h] = [head.readUInt16BE(4), head.readUInt16BE(6)];
    await read(w * h * 4);
    pixels += w * h;
  }
  return pixels;
}

const RAW = Buffer.from([2, 0, 0, 1, 0, 0, 0, 0]);
const control = async (): Promise<Control | undefined> => {
  const value = await fleet.realtime.client.get(screenKeys.control(desktop.containerId));
  return value ? parseJson(Control, value) : undefined;
};
/** Takes control for another viewer. */
const takeControl = async (viewerId: string): Promise<Control> => {
  const { containerId, userId } = desktop;
  const caller = JSON.stringify({ type: 'viewer', viewerId, userId });
  const args = { action: 'take', caller, ttlMs: 60_000, channel: screenKeys.up(containerId) } as const;
  const [, , holder] = await runScript(fleet.realtime.client, moveControl, { containerId }, args);
  return holder as Control;
};
const inside = async (command: string): Promise<string> => {
  const engine = fleet.docker.getContainer(await fleet.instance(desktop));
  const desktopUser = await asDesktop(engine);
  const exec = await engine.exec({ ...desktopUser, Cmd: ['sh', '-c', command], AttachStdout: true });
  const chunks: Buffer[] = [];
  for await (const chunk of await exec.start({})) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('latin1');
};

test('a raw RFB client receives the complete screen', async () => {
  const { read, send, size } = await greet();
  expect(size).toEqual({ width: 800, height: 600 });
  await send(RAW, updateRequest(size, false));
  expect(await readRaw(read)).toBe(800 * 600);
});

test('the picture continues after the connection to the relay is closed in the midst of it', async () => {
  const { session, read, send, size } = await greet();
  await send(RAW);
  for (let picture = 0; picture < 6; picture++) {
    await send(updateRequest(size, false));
    for (const socket of relay.io.sockets.sockets.values()) if (picture % 2 === 1) socket.conn.close();
    expect(await readRaw(read)).toBe(800 * 600);
  }
  session.abort();
});

test('a press takes free control, keys are typed, and the end of the session releases control', async () => {
  // It opens over what is opened before it.
  await waitFor('the first terminal', async () => (await inside('pgrep -x bash')) !== '');
  await inside('xterm -geometry 60x10+100+100 -e sh -c "cat > /tmp/typed" >/dev/null 2>&1 &');
  const { session, send } = await greet();
  const line = [...'abc\r'].map((char) => (char === '\r' ? 0xff0d : char.charCodeAt(0)));
  await waitFor('the typed text', async () => {
    await send(pointerEvent(200, 160, 1));
    await waitFor('control', control);
    await send(pointerEvent(200, 160, 0));
    await send(...line.flatMap((keysym) => [keyEvent(keysym, true), keyEvent(keysym, false)]));
    return (await inside('cat /tmp/typed')).includes('abc');
  });
  expect(await control()).toMatchObject({
    userId: desktop.userId,
    viewerId: session.sessionId.split('.')[1],
  });
  session.abort();
  await waitFor('control to be free', async () => (await control()) === undefined);
});

test('a pressed button is released when another viewer takes control or the session ends', async () => {
  const { session, send } = await greet();
  const held = () => fleet.realtime.client.get(screenKeys.held(desktop.containerId));
  await send(pointerEvent(300, 300, 1));
  await waitFor('the press', held);
  await takeControl('another');
  await waitFor('the release', async () => (await held()) === null);
  await send(pointerEvent(300, 300, 0), pointerEvent(300, 300, 1));
  expect(await control()).toMatchObject({ viewerId: 'another' });
  await fleet.realtime.client.del(screenKeys.control(desktop.containerId));
  // The session notices within two seconds that it lost control; then a press takes it again.
  await waitFor('a press', async () => {
    await send(pointerEvent(300, 300, 0), pointerEvent(300, 300, 1));
    return held();
  });
  session.abort();
  await waitFor('the release', async () => (await held()) === null);
});

test('input without control is dropped and counted, and moves are not', async () => {
  const held = await takeControl('another');
  const { session, send } = await greet();
  await send(keyEvent(0x61, true), keyEvent(0x61, false));
  await send(pointerEvent(5, 5, 0), pointerEvent(6, 6, 0), pointerEvent(6, 6, 1), pointerEvent(6, 6, 0));
  // The end of the client's bytes ends the connection to the desktop, and so the session.
  send.end();
  expect(await session.closed).toEqual({ inputsDropped: 4 });
  expect(await control()).toEqual(held);
});

test.each([
  ['another kind of message', Buffer.of(99), 'RFB message 99 is not supported.'],
  [
    'too many encodings',
    Buffer.from([2, 0, 0xff, 0xff]),
    'The list of encodings is too long: 65535, at most 256.',
  ],
])('%s ends the session with a protocol error that names it', async (_, message, reason) => {
  const { session, send } = await greet();
  await send(message);
  await expect(session.closed).rejects.toMatchObject({ code: 'protocol_error', message: reason });
});
