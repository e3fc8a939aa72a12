import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ActionsInput } from '@warmwind/shared/contract/actions/input';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { Agents } from '../actions/agents.ts';
import { createScreenMetrics } from '../screen/metrics.ts';
import { ENCODING } from '../screen/rfb/messages.ts';
import { Screenshots } from '../screen/screenshot.ts';
import { ScreenTurns } from '../screen/turns.ts';
import { serveRfb } from '../testing/rfb-server.ts';
import { FramebufferMemory } from './memory.ts';

/** Longer than a desktop may take, and shorter than a call may take, ms. */
const PATIENCE_MS = 20_000;
const LARGEST_BYTES = 3840 * 2160 * 4;
const MAX_GROWTH_MB = 200;

let dir: string;
let realtime: TestRedis;
let redis: Redis;
let count = 0;
const turns = new ScreenTurns();
const screenshots = new Screenshots();
const metrics = createScreenMetrics(new Registry());
const log = createLog('test');
log.level = 'silent';
const open: { stop: () => Promise<unknown> }[] = [];

beforeAll(async () => {
  const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
  await mkdir(root, { recursive: true });
  dir = await mkdtemp(join(root, 'framebuffer-'));
  realtime = await startRedis();
  redis = connectFailFast(realtime.url, 'test', log);
  await waitFor('redis', () => redis.status === 'ready');
});
afterAll(async () => {
  for (const { stop } of open.splice(0).reverse()) await stop();
  await disconnect(redis);
  await realtime.stop();
  await rm(dir, { recursive: true, force: true });
});

type Behaviour = NonNullable<Parameters<typeof serveRfb>[1]>;

/** Starts a desktop whose server behaves as given, with its agents. */
async function serve(behaviour: Behaviour) {
  const containerId = `c${++count}`;
  const userId = `user-of-${containerId}`;
  const server = await serveRfb(join(dir, `${count}`), behaviour);
  open.push(server);
  const memory = new FramebufferMemory();
  const agents = new Agents({
    containerId,
    userId,
    socketPath: async () => server.path,
    redis,
    turn: turns.join(userId),
    memory,
    screenshots,
    isStreamed: () => false,
    metrics,
    log,
  });
  open.push({ stop: () => agents.close() });
  const act = (input: Partial<z.input<typeof ActionsInput>> = {}) =>
    agents.act({
      userId,
      credential: 'token:one',
      incarnation: 1,
      input: ActionsInput.parse({ actions: [{ type: 'move', x: 1, y: 1 }], screenshot: {}, ...input }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  return { server, memory, act };
}

const rect = (x: number, y: number, w: number, h: number, encoding: number, data = Buffer.alloc(0)) => {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(1, 2);
  for (const [index, value] of [x, y, w, h].entries()) head.writeUInt16BE(value, 4 + 2 * index);
  head.writeInt32BE(encoding, 12);
  return Buffer.concat([head, data]);
};
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
/** Answers each request for the complete screen, or for one pixel. */
const honest = (): Behaviour => ({
  onRequest: (socket, incremental) => void (incremental || socket.write(picture())),
});
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
  type Begun = { memory: FramebufferMemory; ended: Promise<unknown> };
  const begun = new Map<string, Begun>();
  let good: Awaited<ReturnType<typeof serve>>;
  let rssBefore = 0;

  beforeAll(async () => {
    good = await serve(honest());
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
