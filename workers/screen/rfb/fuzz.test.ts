import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { constants, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Canvas } from '../../testing/viewer.ts';
import { packRects } from '../frame.ts';
import { ScreenTurns } from '../turns.ts';
import { VisibleRects } from '../visible.ts';
import { Clipboard } from './clipboard.ts';
import { feed, type Parser, ProtocolError } from './feed.ts';
import { handshake } from './handshake.ts';
import type { Size } from './messages.ts';
import { serverMessages } from './server.ts';
import type { Rect } from './update.ts';

/** A capture of Xvnc: a terminal that scrolls, copies, palettes, fills and noise on a screen of 320 × 240. */
const capture = await readFile(new URL('../../testing/xvnc.rfb', import.meta.url));
const greeting = capture.subarray(0, 12 + 2 + 4 + 24 + capture.readUInt32BE(12 + 2 + 4 + 20));

type Parsed = { size: Size; updates: Rect[][]; texts: string[]; error: unknown };

/** Runs all parts of the bridge that parse a server's bytes. Resolves when these are used up or refused. */
async function read(chunks: Buffer[]): Promise<Parsed> {
  const parsed: Parsed = { size: { width: 0, height: 0 }, updates: [], texts: [], error: undefined };
  const seen = new VisibleRects();
  let rects: Rect[] = [];
  const become = (size: Size) => {
    parsed.size = size;
    seen.clear(size);
  };
  function* session(): Parser<void> {
    const size = yield* handshake(() => undefined);
    become(size);
    yield* serverMessages(size, {
      take: (rect) => {
        rects.push(rect);
      },
      update: ({ size: next }) => {
        if (next) become(next);
        else for (const rect of rects) seen.add(rect);
        if (!next) parsed.updates.push(rects);
        rects = [];
        return undefined;
      },
      clipboard: new Clipboard(
        () => true,
        (text) => parsed.texts.push(text ?? ''),
      ),
    });
  }
  async function* source() {
    yield* chunks;
  }
  await feed(Readable.from(source()), session(), new ScreenTurns().join('ada')).catch((error: unknown) => {
    parsed.error = error;
  });
  return parsed;
}

/** Expects that the bytes end in a `ProtocolError`, and that no rectangle is out of bounds. */
const expectContained = async (bytes: Buffer): Promise<void> => {
  const { error, size, updates } = await read([bytes]);
  if (!(error instanceof ProtocolError)) throw error;
  for (const { x, y, w, h } of updates.at(-1) ?? []) {
    expect(w > 0 && h > 0 && x + w <= size.width && y + h <= size.height).toBe(true);
  }
};
const draw = async (canvas: Canvas, rects: readonly Rect[]) => {
  const frame = packRects({ kind: 'delta', epoch: 1, seq: 1, width: 0, height: 0 }, rects);
  await canvas.draw(frame.subarray(20));
};
const u16 = (...values: number[]) => Buffer.concat(values.map((value) => Buffer.of(value >> 8, value & 255)));
const i32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

test('a capture of Xvnc gives the same updates however it is split into chunks', async () => {
  const complete = await read([capture]);
  expect(complete.updates.flat().length).toBeGreaterThan(100);
  expect(complete.error).toMatchObject({ message: 'the desktop closed the connection' });
  const splits = fc.array(fc.integer({ min: 0, max: capture.length }), { maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(splits, async (at) => {
      const points = [0, ...at, capture.length].sort((a, b) => a - b);
      const pieces = points.slice(1).map((end, index) => capture.subarray(points[index], end));
      expect((await read(pieces)).updates).toEqual(complete.updates);
    }),
    { numRuns: 20 },
  );
});

test('the visible rectangles of a capture give the same screen as all, after every update', async () => {
  const { updates, size } = await read([capture]);
  const seen = new VisibleRects();
  const early = new Canvas();
  seen.clear(size);
  early.resize(size.width, size.height);
  let rects = 0;
  for (const update of updates) {
    for (const rect of update) seen.add(rect);
    await draw(early, update);
    const late = new Canvas();
    late.resize(size.width, size.height);
    await draw(late, seen.rects());
    expect(late.hash).toBe(early.hash);
    rects += update.length;
  }
  expect(seen.rects().length).toBeLessThan(rects);
});

test('the visible rectangles of random fills and copies give the same screen as all rectangles', async () => {
  const area = fc.tuple(fc.integer({ min: 0, max: 69 }), fc.integer({ min: 0, max: 49 })).chain(([x, y]) =>
    fc.record({
      x: fc.constant(x),
      y: fc.constant(y),
      w: fc.integer({ min: 1, max: 70 - x }),
      h: fc.integer({ min: 1, max: 50 - y }),
      colour: fc.uint8Array({ minLength: 3, maxLength: 3 }),
      from: fc.option(fc.tuple(fc.nat(69), fc.nat(49))),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(area, { maxLength: 40 }), async (steps) => {
      const size = { width: 70, height: 50 };
      const [early, late] = [new Canvas(), new Canvas()];
      for (const canvas of [early, late]) canvas.resize(size.width, size.height);
      const seen = new VisibleRects();
      seen.clear(size);
      for (const { x, y, w, h, colour, from } of steps) {
        const source = from && u16(Math.min(from[0], 70 - w), Math.min(from[1], 50 - h));
        const rect = source
          ? { x, y, w, h, encoding: 1, data: source }
          : { x, y, w, h, encoding: 7, data: Buffer.from([0x80, ...colour]) };
        seen.add(rect);
        await draw(early, [rect]);
      }
      await draw(late, seen.rects());
      expect(late.hash).toBe(early.hash);
    }),
    { numRuns: 200 },
  );
});

test('random bytes, before or after the greeting, end in a ProtocolError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, greeted) =>
      expectContained(Buffer.concat([greeted ? greeting : Buffer.alloc(0), bytes])),
    ),
    { numRuns: 1500 },
  );
});

test('a damaged capture of Xvnc ends in a ProtocolError, without a rectangle out of bounds', async () => {
  const damage = fc.record({
    at: fc.integer({ min: greeting.length, max: capture.length - 1 }),
    drop: fc.nat(40),
    put: fc.uint8Array({ maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 5 }), async (damages) => {
      let bytes = capture;
      for (const { at, drop, put } of damages) {
        bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + drop)]);
      }
      await expectContained(bytes);
    }),
    { numRuns: 500 },
  );
});

test('wrong sizes, kinds, lengths and counts end in a ProtocolError, without a rectangle out of bounds', async () => {
  const side = fc.oneof(fc.constantFrom(0, 1, 16, 319, 320, 65_535), fc.integer({ min: 0, max: 320 }));
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    // A control byte, a length and zlib data that is short, right or far too long.
    fc
      .tuple(fc.constantFrom(0x00, 0x40, 0x50, 0x70, 0x80, 0x90, 0xa0), fc.nat(200_000), fc.nat(3))
      .map(([control, bytes, filter]) => {
        const part = deflateSync(Buffer.alloc(bytes), { finishFlush: constants.Z_SYNC_FLUSH });
        const length = Buffer.of(
          (part.length & 127) | 128,
          ((part.length >> 7) & 127) | 128,
          part.length >> 14,
        );
        return Buffer.concat([
          Buffer.of(control),
          control & 0x40 ? Buffer.of(filter) : Buffer.alloc(0),
          length,
          part,
        ]);
      }),
  );
  const encoding = fc.constantFrom(0, 1, 5, 7, 16, -223, -224, -239, -308, 999);
  const rect = fc
    .tuple(side, side, side, side, encoding, payload)
    .map(([x, y, w, h, kind, data]) => Buffer.concat([u16(x, y, w, h), i32(kind), data]));
  const update = fc
    .tuple(fc.constantFrom(0, 1, 2, 0xffff), fc.array(rect, { maxLength: 3 }))
    .map(([count, rects]) => Buffer.concat([Buffer.of(0, 0), u16(count), ...rects]));
  const text = fc
    .tuple(fc.oneof(fc.integer(), fc.integer({ min: -80, max: 80 })), fc.uint8Array({ maxLength: 80 }))
    .map(([length, bytes]) => Buffer.concat([Buffer.of(3, 0, 0, 0), i32(length), bytes]));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(update, update, text), { maxLength: 5 }), (messages) =>
      expectContained(Buffer.concat([greeting, ...messages])),
    ),
    { numRuns: 1500 },
  );
});

test('a rectangle of a few bytes that would inflate to megabytes is refused', async () => {
  const bomb = deflateSync(Buffer.alloc(64 * 2 ** 20), { finishFlush: constants.Z_SYNC_FLUSH });
  const part = bomb.subarray(0, 3000);
  const rect = Buffer.concat([
    u16(0, 0, 64, 64),
    i32(7),
    Buffer.of(0x00, (part.length & 127) | 128, part.length >> 7),
    part,
  ]);
  const { error, updates } = await read([greeting, Buffer.of(0, 0, 0, 1), rect]);
  expect(error).toMatchObject({ message: 'a rectangle cannot be inflated' });
  expect(updates).toEqual([]);
});

test('a JPEG of another size than its rectangle is refused', async () => {
  const sharp = (await import('sharp')).default;
  const jpeg = await sharp({ create: { width: 32, height: 16, channels: 3, background: '#c96' } })
    .jpeg()
    .toBuffer();
  const update = (w: number, h: number) =>
    Buffer.concat([
      Buffer.of(0, 0, 0, 1),
      u16(0, 0, w, h),
      i32(7),
      Buffer.of(0x90, (jpeg.length & 127) | 128, jpeg.length >> 7),
      jpeg,
    ]);
  expect((await read([greeting, update(32, 16)])).updates).toHaveLength(1);
  const { error, updates } = await read([greeting, update(64, 64)]);
  expect(error).toMatchObject({ message: 'a JPEG of another size than its rectangle' });
  expect(updates).toEqual([]);
});
