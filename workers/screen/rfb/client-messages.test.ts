import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ClientMessage, type ReadBytes, readClientMessage } from './client-messages.ts';
import { ProtocolError } from './feed.ts';

class NoMoreError extends Error {}

/** Reads from these bytes. `largest`: the size of the largest read. */
function source(bytes: Uint8Array): { read: ReadBytes; largest: () => number; left: () => number } {
  let at = 0;
  let largest = 0;
  return {
    read: async (count) => {
      largest = Math.max(largest, count);
      if (at + count > bytes.length) throw new NoMoreError();
      at += count;
      return Buffer.from(bytes.subarray(at - count, at));
    },
    largest: () => largest,
    left: () => bytes.length - at,
  };
}
const one = (...bytes: number[]): Promise<ClientMessage> =>
  readClientMessage(source(Uint8Array.from(bytes)).read);

test('every message that a stock viewer sends is read to its end, and passed on as it came', async () => {
  const messages = [
    [0, ...Array(19).fill(1)],
    [2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7],
    [3, 1, 0, 0, 0, 0, 4, 0, 3, 0],
    [4, 1, 0, 0, 0, 0, 0, 0x61],
    [5, 1, 0, 10, 0, 20],
    [6, 0, 0, 0, 0, 0, 0, 2, 0x61, 0x62],
    [6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 0x02, 0, 0, 1],
    [150, 1, 0, 0, 0, 0, 4, 0, 3, 0],
    [248, 0, 0, 0, 0, 0, 0, 1, 2, 9, 9],
    [251, 0, 4, 0, 3, 0, 1, 0, ...Array(16).fill(0)],
  ];
  const { read, left } = source(Uint8Array.from(messages.flat()));
  for (const message of messages) expect([...(await readClientMessage(read)).bytes]).toEqual(message);
  expect(left()).toBe(0);
});

test('keys, pointer events, clipboard texts and sizes are input, and other messages are not', async () => {
  expect((await one(4, 1, 0, 0, 0, 0, 0, 0x61)).input).toEqual({ t: 'key', keysym: 0x61, down: true });
  expect((await one(5, 3, 0, 10, 0, 20)).input).toEqual({ t: 'ptr', x: 10, y: 20, mask: 3 });
  expect((await one(6, 0, 0, 0, 0, 0, 0, 1, 0x61)).input).toEqual({ t: 'cut', text: 'a' });
  expect((await one(251, 0, 4, 0, 3, 0, 0, 0)).input).toEqual({ t: 'resize', w: 1024, h: 768 });
  // A notice of a clipboard puts a text on it, a request for one does not.
  expect((await one(6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 0x08, 0, 0, 1)).input?.t).toBe('cut');
  expect((await one(6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 0x02, 0, 0, 1)).input).toBeUndefined();
  expect((await one(3, 1, 0, 0, 0, 0, 4, 0, 3, 0)).input).toBeUndefined();
});

test("QEMU's keys are passed on as plain ones, and their encoding is withheld from the server", async () => {
  const { bytes, input } = await one(255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e);
  expect(input).toEqual({ t: 'key', keysym: 0x61, down: true });
  expect([...bytes]).toEqual([4, 1, 0, 0, 0, 0, 0, 0x61]);
  const encodings = await one(2, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff, 0xfe, 0xfe);
  expect([...encodings.bytes]).toEqual([2, 0, 0, 1, 0, 0, 0, 7]);
});

test('any message of a client is read within bounds, or refused with a ProtocolError', async () => {
  const first = fc.constantFrom(0, 2, 3, 4, 5, 6, 150, 248, 251, 255, 1, 7, 99, 252);
  const input = fc.tuple(first, fc.uint8Array({ minLength: 0, maxLength: 64 }));
  await fc.assert(
    fc.asyncProperty(input, async ([type, rest]) => {
      const { read, largest } = source(Uint8Array.from([type, ...rest]));
      const error = await readClientMessage(read).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error === undefined || error instanceof ProtocolError || error instanceof NoMoreError).toBe(
        true,
      );
      expect(largest()).toBeLessThanOrEqual(3 * 256 * 1024 + 1024);
    }),
    { numRuns: 2000, seed: 7 },
  );
});
