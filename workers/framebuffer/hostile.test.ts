import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { ENCODING } from '../screen/rfb/messages.ts';
import { type Behaviour, honest, rect, type ServedDesktop, ServedDesktops } from './testing/desktops.ts';

const LARGEST_BYTES = 3840 * 2160 * 4;
const MAX_GROWTH_MB = 200;

let desktops: ServedDesktops;
const serve = (behaviour: Behaviour) => desktops.serve(behaviour);

beforeAll(async () => {
  desktops = await ServedDesktops.start();
});
afterAll(() => desktops?.stop());

const picture = (width = 64, height = 48) =>
  rect(0, 0, width, height, ENCODING.raw, Buffer.alloc(width * height * 4, 0x55));
const resize = (width: number, height: number) => rect(0, 0, width, height, ENCODING.desktopSize);
const forever = (bytes: Buffer) => (socket: Socket) => {
  const write = () => {
    while (!socket.destroyed && socket.write(bytes));
    if (!socket.destroyed) socket.once('drain', write);
  };
  write();
};
/** Answers as an honest one does, until a call has begun. */
const thenInstead = (next: (socket: Socket) => void): Behaviour => {
  let pictures = 0;
  return {
    onRequest: (socket, incremental) => {
      if (incremental) return;
      pictures += 1;
      if (pictures === 1) socket.write(picture());
      else if (pictures === 2) next(socket);
    },
  };
};
const slowly = (bytes: Buffer) => (socket: Socket) => {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer);
    else socket.write(bytes.subarray(at, ++at));
  }, 50);
};
const many = (bytes: Buffer) => Buffer.concat(Array.from({ length: 1000 }, () => bytes));
const cursor = rect(0, 0, 257, 257, ENCODING.cursorWithAlpha, Buffer.alloc(4 + 257 * 257 * 4));
const pixels = Array.from({ length: 2000 }, () =>
  rect(9, 9, 1, 1, ENCODING.raw, Buffer.alloc(4)).subarray(4),
);
const endless = Buffer.concat([Buffer.of(0, 0, 0xff, 0xff), ...pixels]);
const halfPicture = picture().subarray(0, 5000);
const resizes = many(Buffer.concat([resize(3840, 2160), resize(3839, 2160)]));

const HOSTILE: [string, Behaviour][] = [
  ['has a screen that is larger than permitted', { width: 4096, height: 4096 }],
  ['grows beyond what is permitted', thenInstead((socket) => socket.write(resize(4096, 4096)))],
  ['never answers', {}],
  ['stops to answer', thenInstead(() => undefined)],
  ['answers by single bytes', { onRequest: slowly(picture()) }],
  ['answers the call by single bytes', thenInstead(slowly(picture()))],
  ['paints outside of its screen', { onGreeted: forever(rect(60, 40, 9, 9, 0, Buffer.alloc(4 * 81))) }],
  ['sends a pointer that is too large', thenInstead((socket) => socket.write(cursor))],
  ['floods with pointers', thenInstead(forever(many(rect(9, 9, 0, 0, ENCODING.cursorPosition))))],
  ['floods with empty updates', thenInstead(forever(Buffer.alloc(40_000)))],
  ['floods with sizes', thenInstead(forever(resizes))],
  ['never ends an update', thenInstead(forever(endless))],
  ['hangs up in an update', thenInstead((socket) => void socket.end(halfPicture))],
  ['resets in an update', thenInstead((socket) => socket.write(halfPicture, () => socket.destroy()))],
];

describe('a call on a hostile desktop ends with an error, in bounded time and memory, and others are served', () => {
  type Begun = Pick<ServedDesktop, 'memory'> & { ended: Promise<unknown> };
  const begun = new Map<string, Begun>();
  let good: ServedDesktop;
  let rssBefore = 0;

  beforeAll(async () => {
    good = await serve(honest(picture()));
    rssBefore = process.memoryUsage().rss;
    for (const [name, behaviour] of HOSTILE) {
      const { act, memory } = await serve(behaviour);
      const ended = act().then(
        () => 'answered',
        (error: unknown) => error,
      );
      begun.set(name, { memory, ended });
    }
  });

  test.each(HOSTILE)('%s', async (name) => {
    const { memory, ended } = begun.get(name) as Begun;
    expect(await good.act()).toMatchObject({ results: [{ ok: true }], screenshot: { width: 64 } });
    expect(memory.bytes).toBeLessThanOrEqual(LARGEST_BYTES);
    expect(await ended).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('Check that it runs'),
    });
    await waitFor('its memory to be free', () => memory.bytes === 0);
    expect((process.memoryUsage().rss - rssBefore) / 2 ** 20).toBeLessThan(MAX_GROWTH_MB);
  });
});

/** A desktop that shrinks during its first call. */
const shrinking = (width: number, height: number): Behaviour => {
  let pictures = 0;
  return {
    onRequest: (socket, incremental) => {
      if (incremental) return;
      pictures += 1;
      if (pictures === 2) socket.write(resize(width, height));
      else socket.write(pictures === 1 ? picture() : picture(width, height));
    },
  };
};

test('a picture of a screen that shrinks during the call has the new size', async () => {
  const { act } = await serve(shrinking(20, 10));
  expect(await act()).toMatchObject({
    screen: { width: 20, height: 10 },
    screenshot: { width: 20, height: 10 },
  });
});

test('a picture of a part that the screen has lost during the call is refused', async () => {
  const { act } = await serve(shrinking(2, 2));
  const region = { x: 0, y: 0, width: 64, height: 1 };
  await expect(act({ screenshot: { region } })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('2 × 2'),
  });
  expect(await act()).toMatchObject({ screenshot: { width: 2, height: 2 } });
});
