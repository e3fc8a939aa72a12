import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Connection, connect } from '@warmwind/shared/client/client';
import { DISCONNECTED, type Screen, type WatchOptions } from '@warmwind/shared/client/screen';
import { type Holder, type InputDropped, MAX_OFFER_BYTES } from '@warmwind/shared/contract/screen';
import { Server, type Socket } from 'socket.io';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';

const ID = 'd1';
const ADA: Holder = { type: 'viewer', viewerId: 'v1', userId: 'ada' };
const BOB: Holder = { type: 'viewer', viewerId: 'v9', userId: 'bob' };
const AGENT: Holder = { type: 'agent', userId: 'ada', credential: 'v1' };
const nameOf = (holder: Holder | null) =>
  holder?.type === 'agent' ? `agent ${holder.credential}` : (holder?.viewerId ?? 'free');
const bytes = (n: number) => Buffer.alloc(n);

/** A server that speaks the relay's protocol and can also break it. */
let io: Server;
let relay: Socket | undefined;
/** The events that the client sent, with their first argument. */
let sent: [event: string, data: Record<string, unknown>][];
/** The answer to the next `vnc:watch`. */
let watching: { viewerId: string; holder: Holder | null };
let client: Connection;

beforeEach(async () => {
  sent = [];
  watching = { viewerId: 'v1', holder: null };
  const http = createServer();
  io = new Server(http);
  io.on('connection', (socket) => {
    relay = socket;
    socket.onAny((event: string, data) => sent.push([event, data]));
    const size = { mode: 'control', width: 800, height: 600 };
    socket.on('vnc:watch', (_, answer) => answer({ ok: true, ...size, ...watching }));
    socket.on('vnc:control', (_, answer) => answer({ ok: true, holder: watching.holder }));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  client = connect({ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, token: 'ticket' });
});
afterEach(async () => {
  client?.close();
  await io?.close();
});

const sentOf = (event: string) => sent.flatMap(([name, data]) => (name === event ? [data] : []));

/** A viewer that is admitted, and all that it receives. */
async function watch(options: Partial<WatchOptions> = {}) {
  const seen: string[] = [];
  let joined = 0;
  const screen: Screen = client.watch(ID, {
    onWatching: () => {
      joined += 1;
    },
    onKey: ({ length }) => seen.push(`key of ${length}`),
    onFrame: ({ length }) => seen.push(`frame of ${length}`),
    onControl: (holder, mine) => seen.push(`control: ${nameOf(holder)}${mine ? ', mine' : ''}`),
    onGone: (reason) => seen.push(`gone: ${reason}`),
    ...options,
  });
  await waitFor('the answer', () => joined === 1);
  return { screen, seen, joined: () => joined };
}

test.each([
  ['a frame is missing', 1, 3],
  ['a frame is of another epoch', 2, 2],
])('when %s, the client requests one refresh and shows nothing until the keyframe', async (_, epoch, seq) => {
  const { seen } = await watch();
  relay?.emit('vnc:key', ID, 1, 0, 800, 600, bytes(100));
  relay?.emit('vnc:frame', ID, 1, 1, bytes(1));
  relay?.emit('vnc:frame', ID, epoch, seq, bytes(2));
  relay?.emit('vnc:frame', ID, epoch, seq + 1, bytes(3));
  await waitFor('the request', () => sentOf('vnc:refresh').length > 0);
  relay?.emit('vnc:key', ID, epoch, 9, 800, 600, bytes(200));
  relay?.emit('vnc:frame', ID, epoch, 10, bytes(4));
  await waitFor('the picture', () => seen.at(-1) === 'frame of 4');
  expect(seen).toEqual(['key of 100', 'frame of 1', 'key of 200', 'frame of 4']);
  expect(sentOf('vnc:refresh')).toEqual([{ containerId: ID }]);
});

test('a frame that arrives twice is shown once and requests no refresh', async () => {
  const { seen } = await watch();
  relay?.emit('vnc:key', ID, 1, 0, 800, 600, bytes(100));
  for (const seq of [1, 1, 0, 2]) relay?.emit('vnc:frame', ID, 1, seq, bytes(seq + 1));
  await waitFor('the last frame', () => seen.at(-1) === 'frame of 3');
  expect(seen).toEqual(['key of 100', 'frame of 2', 'frame of 3']);
  await waitFor('the acknowledgement', () => sentOf('vnc:ack').at(-1)?.seq === 2);
  expect(sentOf('vnc:refresh')).toEqual([]);
});

test.each([
  ['is taken again while the client is still its holder', ADA, [{ containerId: ID, action: 'take' }]],
  ['is left to another viewer that holds it by then', BOB, []],
  ['is left to an agent that holds it by then', AGENT, []],
  ['stays free when it is free by then', null, []],
])('control that was held at a relay that died %s', async (_, holder, expected) => {
  const { seen, joined } = await watch();
  relay?.emit('vnc:control', { containerId: ID, holder: ADA });
  await waitFor('control', () => seen.at(-1) === 'control: v1, mine');
  watching = { viewerId: 'v2', holder };
  relay?.conn.close();
  await waitFor('the new connection', () => joined() === 2);
  // The client acknowledges this frame after all that it sent as it joined.
  relay?.emit('vnc:key', ID, 1, 0, 800, 600, bytes(2 ** 18));
  await waitFor('a later message', () => sentOf('vnc:ack').length > 0);
  expect(sentOf('vnc:control')).toEqual(expected);
  expect(seen).toContain(`gone: ${DISCONNECTED}`);
});

test('an agent in control is not taken for a viewer whose id equals its credential', async () => {
  const { seen } = await watch();
  for (const holder of [ADA, AGENT]) relay?.emit('vnc:control', { containerId: ID, holder });
  await waitFor('the loss', () => seen.at(-1) === 'control: agent v1');
});

test('a holder without a type, from an older relay, is read as a viewer', async () => {
  const { seen } = await watch();
  relay?.emit('vnc:control', { containerId: ID, holder: { viewerId: 'v1', userId: 'ada' } });
  await waitFor('control', () => seen.at(-1) === 'control: v1, mine');
});

test('a viewer that loses control is notified and does not take it again after a reconnect', async () => {
  const { seen, joined } = await watch();
  for (const holder of [ADA, BOB]) relay?.emit('vnc:control', { containerId: ID, holder });
  await waitFor('the loss', () => seen.at(-1) === 'control: v9');
  watching = { viewerId: 'v2', holder: ADA };
  relay?.conn.close();
  await waitFor('the new connection', () => joined() === 2);
  relay?.emit('vnc:key', ID, 1, 0, 800, 600, bytes(2 ** 18));
  await waitFor('a later message', () => sentOf('vnc:ack').length > 0);
  expect(sentOf('vnc:control')).toEqual([]);
});

test('the longest text for the clipboard is sent, and a longer one throws and sends nothing', async () => {
  const { screen } = await watch();
  const longest = 'x'.repeat(MAX_OFFER_BYTES - 2);
  for (const text of [`${longest}x`, 'ü'.repeat(MAX_OFFER_BYTES / 2), '\n'.repeat(MAX_OFFER_BYTES / 2)]) {
    expect(() => screen.input({ t: 'cut', text })).toThrow(RangeError);
  }
  screen.input({ t: 'cut', text: longest });
  await waitFor('the text', () => sentOf('vnc:input').length > 0);
  expect(sentOf('vnc:input')).toEqual([{ containerId: ID, input: { t: 'cut', text: longest } }]);
});

test('a text copied in the desktop is passed on, and one that is too long is reported', async () => {
  const texts: string[] = [];
  await watch({ onClipboard: (text) => texts.push(text), onClipboardTooLarge: () => texts.push('too long') });
  relay?.emit('vnc:cut', { containerId: ID, text: 'copied' });
  relay?.emit('vnc:cut', { containerId: 'another', text: 'not ours' });
  relay?.emit('vnc:cutTooLong', { containerId: ID });
  await waitFor('both', () => texts.length === 2);
  expect(texts).toEqual(['copied', 'too long']);
});

test('input while the relay is unreachable is reported as dropped and is not sent later', async () => {
  const dropped: InputDropped[] = [];
  const { screen, seen, joined } = await watch({ onDropped: (notice) => dropped.push(notice) });
  relay?.conn.close();
  await waitFor('the loss', () => seen.at(-1) === `gone: ${DISCONNECTED}`);
  screen.input({ t: 'key', keysym: 0x61, down: true });
  expect(dropped).toMatchObject([{ containerId: ID, reason: 'disconnected', count: 1 }]);
  await waitFor('the new connection', () => joined() === 2);
  screen.input({ t: 'key', keysym: 0x62, down: true });
  await waitFor('the input after the reconnect', () => sentOf('vnc:input').length > 0);
  expect(sentOf('vnc:input')).toMatchObject([{ input: { keysym: 0x62 } }]);
});
