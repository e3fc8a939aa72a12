import { TerminalNotice } from '@warmwind/shared/contract/sessions/terminal';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeTerminalMessage, readTerminalMessages } from './terminal-stream.ts';

/** A stream of these bytes in pieces of the given lengths, repeated as needed. */
function streamOf(bytes: Uint8Array, lengths: number[]): ReadableStream<Uint8Array> {
  let [at, piece] = [0, 0];
  return new ReadableStream({
    pull: (controller) => {
      if (at >= bytes.length) return controller.close();
      const length = lengths[piece++ % lengths.length] ?? 1;
      controller.enqueue(bytes.slice(at, at + length));
      at += length;
    },
  });
}

/** Reads all messages; the parts of adjacent bytes are joined. */
async function read(stream: ReadableStream<Uint8Array>): Promise<(Buffer | TerminalNotice)[]> {
  const messages: (Buffer | TerminalNotice)[] = [];
  for await (const message of readTerminalMessages(stream, TerminalNotice)) {
    const last = messages.at(-1);
    if (!(message instanceof Uint8Array)) messages.push(message);
    else if (Buffer.isBuffer(last)) messages[messages.length - 1] = Buffer.concat([last, message]);
    else messages.push(Buffer.from(message));
  }
  return messages;
}

test('messages are read as they were written, however their bytes are divided', async () => {
  const notice = fc.record({ t: fc.constant('gap' as const), offset: fc.nat() });
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 400 });
  const lengths = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(bytes, notice)), lengths, async (pairs, pieces) => {
      const encoded = Buffer.concat(pairs.flat().map(encodeTerminalMessage));
      const expected = pairs.flatMap(([data, note]) => [Buffer.from(data), note]);
      expect(await read(streamOf(encoded, pieces))).toEqual(expected);
    }),
    { seed: 5, numRuns: 100 },
  );
});

test.each([
  ['an unknown type', Buffer.of(7, 0, 0, 0, 1, 1)],
  ['unknown JSON', encodeTerminalMessage({ t: 'size', cols: 1, rows: 1 })],
  ['text that is not JSON', Buffer.of(1, 0, 0, 0, 1, 0x7b)],
  ['a notice that is too long', Buffer.of(1, 0, 1, 0, 0)],
  ['an end within a notice', Buffer.of(1, 0, 0, 0, 9, 0x7b)],
  ['an end within bytes', Buffer.of(0, 0, 0, 0, 9, 0x7b)],
])('%s is refused', async (_, bytes) => {
  await expect(read(streamOf(bytes, [1]))).rejects.toMatchObject({ name: 'TerminalStreamError' });
});
