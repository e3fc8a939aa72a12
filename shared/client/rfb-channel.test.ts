import { expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import type { ScreenInput } from '../contract/screen.ts';
import { RfbChannel } from './rfb-channel.ts';

/** Opens a channel; returns it with the messages sent to noVNC and the reported input. */
function open() {
  const input: ScreenInput[] = [];
  const sent: Uint8Array[] = [];
  const channel = new RfbChannel({ width: 640, height: 480, onInput: (one) => input.push(one) });
  channel.onmessage = ({ data }) => void sent.push(new Uint8Array(data));
  return { channel, input, sent };
}
const HANDSHAKE = [...new TextEncoder().encode('RFB 003.008\n'), 1, 1];
const settle = () => new Promise((resolve) => setTimeout(resolve));

test('noVNC receives the greeting, the size, and the frames that arrived during the handshake', async () => {
  const { channel, sent } = open();
  channel.key(Uint8Array.of(7, 7), 800, 600);
  channel.frame(Uint8Array.of(8));
  await waitFor('the greeting', () => sent.length === 1);
  channel.send(Uint8Array.from(HANDSHAKE));
  await waitFor('the picture', () => sent.at(-1)?.length === 1);
  const [greeting, security, result, init, size, resized, key, frame] = sent;
  expect(new TextDecoder().decode(greeting)).toBe('RFB 003.008\n');
  expect([security, result]).toEqual([Uint8Array.of(1, 1), new Uint8Array(4)]);
  expect(new DataView(init?.buffer as ArrayBuffer).getUint16(0)).toBe(640);
  expect(new DataView(size?.buffer as ArrayBuffer).getInt32(12)).toBe(-308);
  expect(new DataView(resized?.buffer as ArrayBuffer).getUint16(8)).toBe(800);
  expect([key, frame]).toEqual([Uint8Array.of(7, 7), Uint8Array.of(8)]);
});

test('key and pointer messages are reported, also in pieces of one byte, and all other messages are not', async () => {
  const { channel, input, sent } = open();
  const expected = [
    ...HANDSHAKE,
    ...[2, 0, 0, 1, 0, 0, 0, 7],
    ...[3, 1, 0, 0, 0, 0, 2, 128, 1, 224],
    ...[4, 1, 0, 0, 0, 0, 255, 13],
    ...[5, 1, 0, 10, 0, 20],
    ...[6, 0, 0, 0, 0, 0, 0, 2, 104, 105],
    ...[251, 0, 4, 0, 3, 0, 1, 0, ...new Array(16).fill(0)],
  ];
  for (const byte of expected) channel.send(Uint8Array.of(byte));
  await settle();
  expect(input).toEqual([
    { t: 'key', keysym: 0xff0d, down: true },
    { t: 'ptr', mask: 1, x: 10, y: 20 },
  ]);
  // Its request for a size is refused with a reply to itself, for which noVNC waits.
  expect(sent.map((message) => `${[...message].slice(4, 8)}`)).toContain('0,1,0,1');
});
