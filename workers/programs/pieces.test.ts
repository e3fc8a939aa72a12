import { expect, test } from 'vitest';
import { plannedRandom } from '../../infra/quality/testing/random.ts';
import { batchesOf } from './batches.ts';
import { contentOf, partialCharacter } from './pieces.ts';
import { Tail } from './tail.ts';

const TEXT = 'aé€𝄞 ß\u0000\u{10ffff}';

test('a character that has begun is recognised at each of its bytes, and no other bytes are', () => {
  for (const char of TEXT) {
    const bytes = Buffer.from(char);
    for (let count = 1; count < bytes.length; count++) {
      const begun = Buffer.concat([Buffer.from('x'), bytes.subarray(0, count)]);
      expect([char, partialCharacter(begun)]).toEqual([char, count]);
    }
    expect(partialCharacter(bytes)).toBe(0);
  }
  for (const bytes of [[], [0x80], [0x80, 0x80, 0x80, 0x80], [0xc0], [0xc1], [0xf5], [0xff], [0xe2, 0x41]]) {
    expect(partialCharacter(Buffer.from(bytes))).toBe(0);
  }
});

test('bytes that are no UTF-8 are base64', () => {
  expect(contentOf(Buffer.from(TEXT))).toEqual({ text: TEXT });
  for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    expect(contentOf(Buffer.from(bytes))).toEqual({ base64: Buffer.from(bytes).toString('base64') });
  }
});

test('a tail is the last bytes, without a part of a character at its beginning', () => {
  const random = plannedRandom();
  const all = Buffer.from(Array.from({ length: 400 }, () => [...TEXT][random.int(0, 7 - 1)]).join(''));
  for (const most of [1, 64, 101, 102, 103, 104, all.length, 2000]) {
    const tail = new Tail(most);
    for (let from = 0; from < all.length; ) {
      const to = from + 1 + random.int(0, 90 - 1);
      tail.add(all.subarray(from, to));
      from = to;
    }
    const { value, isText } = tail.content(all.length);
    expect(isText).toBe(true);
    expect(all.toString().endsWith(value)).toBe(true);
    const missing = Math.min(most, all.length) - Buffer.byteLength(value);
    expect(missing).toBeGreaterThanOrEqual(0);
    expect(missing).toBeLessThanOrEqual(most < all.length ? 3 : 0);
  }
  const binary = new Tail(2);
  binary.add(Buffer.from([1, 0xff, 0xff]));
  expect(binary.content(3)).toEqual({ value: '//8=', isText: false });
});

test('batches have at most their size, and hold all bytes in order', async () => {
  const chunks = [1, 10, 5, 32, 100, 3].map((length, i) => Buffer.alloc(length, i));
  async function* source() {
    for (const chunk of chunks) yield chunk;
  }
  const batches: Buffer[] = [];
  for await (const batch of batchesOf(source(), { bytes: 16, ms: 60_000 })) batches.push(batch);
  expect(Buffer.concat(batches)).toEqual(Buffer.concat(chunks));
  for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(16);
});

test('a batch that is not full follows after its time, and an error after the bytes before it', async () => {
  const { promise: more, resolve, reject } = Promise.withResolvers<void>();
  async function* source() {
    yield Buffer.from('a');
    await more;
    yield Buffer.from('never');
  }
  const batches = batchesOf(source(), { bytes: 16, ms: 1 });
  expect((await batches.next()).value?.toString()).toBe('a');
  const next = batches.next();
  reject(new Error('broken off'));
  await expect(next).rejects.toThrow('broken off');
  resolve();
});
