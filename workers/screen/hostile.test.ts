import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, deflateSync } from 'node:zlib';
import { type ScreenInput, screenKeys } from '@warmwind/shared/contract/screen';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { DesktopFramebuffer } from '../framebuffer/desktop.ts';
import { FramebufferMemory } from '../framebuffer/memory.ts';
import { type ClientMessage, filled, type RfbServer, serveRfb } from '../testing/rfb-server.ts';
import { type TestViewer, watch } from '../testing/viewer.ts';
import { createScreenMetrics } from './metrics.ts';
import { Screen } from './screen.ts';
import { Screenshots } from './screenshot.ts';
import { ScreenTurns } from './turns.ts';

let dir: string;
let realtime: TestRedis;
let redis: Redis;
let count = 0;
const turns = new ScreenTurns();
const registry = new Registry();
const metrics = createScreenMetrics(registry);
const log = createLog('test');
log.level = 'silent';
const open: { stop: () => Promise<unknown> }[] = [];

beforeAll(async () => {
  const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
  await mkdir(root, { recursive: true });
  dir = await mkdtemp(join(root, 'screen-'));
  realtime = await startRedis();
  redis = connectFailFast(realtime.url, 'test', log);
  await waitFor('redis', () => redis.status === 'ready');
});
afterEach(async () => {
  for (const { stop } of open.splice(0).reverse()) await stop();
});
afterAll(async () => {
  await disconnect(redis);
  await realtime.stop();
  await rm(dir, { recursive: true, force: true });
});

type Served = { server: RfbServer; screen: Screen; viewer: TestViewer; containerId: string };

/** Starts a watched desktop whose server behaves as given. */
async function serve(behaviour: Parameters<typeof serveRfb>[1], userId = 'ada'): Promise<Served> {
  const containerId = `c${++count}`;
  const server = await serveRfb(join(dir, `${count}`), behaviour);
  open.push(server);
  const screenshots = new Screenshots();
  const screen = new Screen({
    containerId,
    socketPath: async () => server.path,
    redis,
    screenshots,
    memory: new FramebufferMemory(),
    userId,
    turn: turns.join(userId),
    metrics,
    log,
  });
  open.push({ stop: () => screen.close() });
  const viewer = await watch(realtime.url, containerId);
  open.push(viewer);
  screen.updateRelays(1);
  return { server, screen, viewer, containerId };
}

/** Answers each request with another colour. */
const honest = () => {
  let grey = 0;
  return serve({ onRequest: (socket) => void socket.write(filled(64, 48, ++grey & 255)) });
};
const forever = (bytes: Buffer) => (socket: Socket) => {
  const write = () => {
    while (!socket.destroyed && socket.write(bytes));
    if (!socket.destroyed) socket.once('drain', write);
  };
  write();
};
const rect = (x: number, y: number, w: number, h: number, encoding: number, data: Buffer) => {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(1, 2);
  for (const [index, value] of [x, y, w, h].entries()) head.writeUInt16BE(value, 4 + 2 * index);
  head.writeInt32BE(encoding, 12);
  return Buffer.concat([head, data]);
};
/** A thousand copies, each of which needs all rectangles before it. */
const tangle = Buffer.concat(
  Array.from({ length: 1000 }, (_, index) => [
    rect(index % 50, index % 40, 3, 3, 7, Buffer.of(0x80, index & 255, 0, 0)),
    rect(1, 1, 63, 47, 1, Buffer.alloc(4)),
  ]).flat(),
);
const zeros = deflateSync(Buffer.alloc(64 * 48 * 3));
const bomb = rect(0, 0, 64, 48, 7, Buffer.concat([Buffer.of(0x01, zeros.length), zeros]));

describe('a hostile desktop is limited in memory and bytes, and leaves the streams of others alone', () => {
  test.each<[string, Parameters<typeof serveRfb>[1]]>([
    ['sends nonsense', { onGreeted: forever(Buffer.alloc(4096, 0xee)) }],
    ['hangs up at once', { onGreeted: (socket) => socket.destroy() }],
    ['floods with empty updates', { onGreeted: forever(Buffer.alloc(4096)) }],
    ['floods with updates that were not requested', { onGreeted: forever(filled(64, 48, 7)) }],
    ['floods with single pixels', { onGreeted: forever(rect(5, 5, 1, 1, 7, Buffer.of(0x80, 1, 2, 3))) }],
    ['floods with copies of copies', { onGreeted: forever(tangle) }],
    ['floods with rectangles that inflate a hundredfold', { onGreeted: forever(bomb) }],
    [
      'floods with clipboards',
      { onGreeted: forever(Buffer.concat([Buffer.of(3, 0, 0, 0, 0, 0, 16, 0), Buffer.alloc(4096, 65)])) },
    ],
    ['has a screen of no size', { width: 0, height: 0 }],
    ['has a screen of the largest size', { width: 65_535, height: 65_535 }],
  ])('%s', async (_name, behaviour) => {
    const before = process.memoryUsage().rss;
    const bad = await serve(behaviour);
    const good = await honest();
    const { rss } = await waitFor('the other to continue', async () => {
      await good.viewer.settled();
      return good.viewer.seen.frames > 60 ? process.memoryUsage() : undefined;
    });
    await bad.viewer.settled();
    expect((rss - before) / 2 ** 20).toBeLessThan(200);
    // Connections back off, and bytes are limited as for an honest desktop.
    expect(bad.server.connections()).toBeLessThan(10);
    expect(bad.viewer.seen.bytes).toBeLessThan(16 * 2 ** 20);
  });

  test('a desktop that hangs up is connected to again, and no frame is published', async () => {
    const { server, viewer } = await serve({ onGreeted: (socket) => setTimeout(() => socket.destroy(), 20) });
    await waitFor('the third connection', () => server.connections() >= 3);
    expect(viewer.seen.frames).toBe(0);
  });
});

describe('ten hostile desktops of one user do not stall the screen of another user', () => {
  const [width, height] = [3840, 2160];
  const rects = (number: number, make: (index: number) => Buffer): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(number, 2);
    return Buffer.concat([head, ...Array.from({ length: number }, (_, index) => make(index).subarray(4))]);
  };
  const dot = rect(5, 5, 1, 1, 7, Buffer.of(0x80, 1, 2, 3));
  const copy = rect(1, 1, width - 1, height - 1, 1, Buffer.alloc(4));
  const fill = (index: number) =>
    rect(index % 9, 0, width - 9, height, 7, Buffer.of(0x80, 1, 2, index & 255));
  const packed = deflateSync(randomBytes(256 * 256 * 3), { finishFlush: constants.Z_SYNC_FLUSH });
  const length = Buffer.of(
    (packed.length & 127) | 128,
    ((packed.length >> 7) & 127) | 128,
    packed.length >> 14,
  );
  const noise = (index: number) =>
    rect((index % 8) * 256, 0, 256, 256, 7, Buffer.concat([Buffer.of(0x01), length, packed]));

  test.each<[string, Buffer]>([
    ['with copies of the complete screen', rects(4000, (index) => (index % 2 ? copy : dot))],
    ['with fills of the complete screen', rects(2000, fill)],
    ['with megabytes of noise in one update', rects(40, noise)],
    ['with thousands of single pixels', rects(5000, () => dot)],
  ])('%s', async (_name, update) => {
    for (let desktop = 0; desktop < 10; desktop++) {
      await serve({ width, height, onGreeted: forever(update) }, 'mallory');
    }
    const good = await honest();
    await waitFor('the other to continue', async () => {
      await good.viewer.settled();
      return good.viewer.seen.frames > 60;
    });
  });
});

test('twenty screenshots of a desktop that does not answer do not block those of another user', async () => {
  const screenshots = new Screenshots();
  const source = async (userId: string, behaviour: Parameters<typeof serveRfb>[1]) => {
    const server = await serveRfb(join(dir, `${++count}`), behaviour);
    open.push(server);
    const framebuffer = new DesktopFramebuffer({
      socketPath: async () => server.path,
      turn: turns.join(userId),
      memory: new FramebufferMemory(),
    });
    open.push({ stop: () => framebuffer.close() });
    return { userId, framebuffer };
  };
  const take = (of: Awaited<ReturnType<typeof source>>) =>
    screenshots.take(of, { format: 'png' }, AbortSignal.timeout(30_000));
  const stalled = await source('mallory', {});
  const asked = Array.from({ length: 20 }, () => take(stalled));
  const ended = Promise.allSettled(asked);
  const pixels = rect(0, 0, 64, 48, 0, Buffer.alloc(64 * 48 * 4));
  const shown = await source('ada', { onRequest: (socket) => void socket.write(pixels) });
  for (let picture = 0; picture < 3; picture++) {
    expect(await take(shown)).toMatchObject({ width: 64, height: 48 });
  }
  for (const { status } of await ended) expect(status).toBe('rejected');
});

test('a stream whose connection breaks continues with a new epoch and a keyframe', async () => {
  const { server, viewer } = await honest();
  await waitFor('a picture', () => viewer.seen.keys >= 1);
  server.hangUp();
  await waitFor('a new epoch', () => viewer.seen.epochs.length === 2);
  await viewer.settled();
  expect(viewer.seen).toMatchObject({ keys: 2, gaps: 0 });
});

test('after too many small changes the complete screen is requested, and viewers see no gap', async () => {
  let count = 0;
  let at = 0;
  const { viewer } = await serve({
    onRequest: (socket, incremental) => {
      if (!incremental) count++;
      if (!incremental || count > 1) return void socket.write(filled(64, 48, count));
      const dots = Array.from({ length: 100 }, () => {
        const dot = rect(at % 64, Math.floor(at / 64) % 48, 1, 1, 7, Buffer.of(0x80, 1, 2, 3));
        at++;
        return dot.subarray(4);
      });
      socket.write(Buffer.concat([Buffer.of(0, 0, 0, dots.length), ...dots]));
    },
  });
  await waitFor('the second time', () => count > 1);
  await waitFor('its picture', async () => {
    await viewer.settled();
    return viewer.canvas.rgb.every((value) => value === 2);
  });
  expect(viewer.seen).toMatchObject({ keys: 1, gaps: 0 });
});

test('a stream fails while Redis is down, and continues with a new epoch when Redis is back', async () => {
  const { viewer, screen } = await honest();
  await waitFor('a picture', () => viewer.seen.keys >= 1);
  const before = await interrupted();
  await realtime.kill();
  await waitFor('it to fail', async () => (await interrupted()) > before);
  await realtime.restart();
  await waitFor('a new epoch', () => {
    screen.updateRelays(1);
    // As a relay does once it has subscribed again: the first keyframe may have come before that.
    screen.receive(JSON.stringify({ t: 'key' }));
    return viewer.seen.epochs.length >= 2;
  });
});
const interrupted = async () => (await metrics.malformed.get()).values[0]?.value ?? 0;

describe('input', () => {
  const key = (keysym: number, down = true): ScreenInput => ({ t: 'key', keysym, down });
  const hold = (containerId: string, viewerId: string, lease: number, ttlMs: number) =>
    redis.set(screenKeys.control(containerId), JSON.stringify({ viewerId, userId: 'u', lease }), 'PX', ttlMs);
  const dropped = async (reason: string) =>
    (await metrics.inputDropped.get()).values.find(({ labels }) => labels.reason === reason)?.value ?? 0;
  const controlled = async (ttlMs: number) => {
    const served = await honest();
    const { screen, containerId, viewer, server } = served;
    await waitFor('a picture', () => viewer.seen.keys >= 1);
    await hold(containerId, 'a', 1, ttlMs);
    const sendInput = (viewerId: string, lease: number, input: ScreenInput) =>
      screen.receive(JSON.stringify({ t: 'input', viewerId, lease, input }));
    const received = (what: ClientMessage) =>
      waitFor(JSON.stringify(what), () =>
        server.messages.some((message) => JSON.stringify(message) === JSON.stringify(what)),
      );
    return { ...served, sendInput, received };
  };

  test('pressed keys and buttons are released when control changes hands, before further input', async () => {
    const { screen, containerId, sendInput, received, server } = await controlled(60_000);
    sendInput('a', 1, key(0xffe1));
    sendInput('a', 1, { t: 'ptr', x: 5, y: 6, mask: 1 });
    await received({ t: 'ptr', x: 5, y: 6, mask: 1 });
    await hold(containerId, 'b', 2, 60_000);
    screen.receive(JSON.stringify({ t: 'control' }));
    sendInput('b', 2, key(0x62));
    await received({ t: 'key', keysym: 0x62, down: true });
    expect(server.messages.slice(2)).toEqual([
      { t: 'key', keysym: 0xffe1, down: false },
      { t: 'ptr', x: 5, y: 6, mask: 0 },
      { t: 'key', keysym: 0x62, down: true },
    ]);
  });

  test('pressed keys are released when an agent takes control, and viewers’ input is dropped', async () => {
    const { screen, containerId, sendInput, received } = await controlled(60_000);
    sendInput('a', 1, key(0xffe1));
    await received({ t: 'key', keysym: 0xffe1, down: true });
    const agent = { type: 'agent', userId: 'u', credential: 'a', lease: 2 };
    await redis.set(screenKeys.control(containerId), JSON.stringify(agent), 'PX', 60_000);
    const before = await dropped('not_holder');
    screen.receive(JSON.stringify({ t: 'control' }));
    sendInput('a', 2, key(0x61));
    await received({ t: 'key', keysym: 0xffe1, down: false });
    await waitFor('the input to be dropped', async () => (await dropped('not_holder')) === before + 1);
  });

  test('pressed keys are released after a message may have been lost, and control stays', async () => {
    const { screen, sendInput, received, server } = await controlled(60_000);
    sendInput('a', 1, key(0xffe1));
    await received({ t: 'key', keysym: 0xffe1, down: true });
    screen.receive(JSON.stringify({ t: 'release' }));
    sendInput('a', 1, key(0x61));
    await received({ t: 'key', keysym: 0x61, down: true });
    expect(server.messages.slice(1)).toEqual([
      { t: 'key', keysym: 0xffe1, down: false },
      { t: 'key', keysym: 0x61, down: true },
    ]);
  });

  test('pressed keys are released when control expires, and kept while control is renewed', async () => {
    const { containerId, sendInput, received, server } = await controlled(300);
    sendInput('a', 1, key(0xffe1));
    await received({ t: 'key', keysym: 0xffe1, down: true });
    await redis.pexpire(screenKeys.control(containerId), 700);
    await received({ t: 'key', keysym: 0xffe1, down: false });
    expect(await redis.exists(screenKeys.control(containerId))).toBe(0);
    expect(server.messages).toHaveLength(2);
  });

  test('keys are forgotten with their connection, and a pressed button is released on the next', async () => {
    const { sendInput, received, server, viewer } = await controlled(60_000);
    sendInput('a', 1, key(0xffe1));
    sendInput('a', 1, { t: 'ptr', x: 5, y: 6, mask: 1 });
    await received({ t: 'ptr', x: 5, y: 6, mask: 1 });
    server.hangUp();
    await waitFor('a new epoch', () => viewer.seen.epochs.length === 2);
    sendInput('a', 1, key(0x61));
    await received({ t: 'key', keysym: 0x61, down: true });
    expect(server.messages.slice(2)).toEqual([
      { t: 'ptr', x: 5, y: 6, mask: 0 },
      { t: 'key', keysym: 0x61, down: true },
    ]);
  });

  test('input without control or of another lease is dropped, counted and reported', async () => {
    const { screen, containerId, sendInput, received, server, viewer } = await controlled(60_000);
    const before = await dropped('not_holder');
    sendInput('b', 1, key(1));
    sendInput('a', 2, key(2));
    screen.receive('{"t":"input","viewerId":"a","lease":1,"input":{"t":"key","keysym":-1,"down":true}}');
    screen.receive('{"t":"input","viewerId":"a","lease":1,"input":{"t":"reboot"}}');
    screen.receive('nonsense');
    await redis.del(screenKeys.control(containerId));
    screen.receive(JSON.stringify({ t: 'control' }));
    sendInput('a', 1, key(3));
    await hold(containerId, 'b', 3, 60_000);
    screen.receive(JSON.stringify({ t: 'control' }));
    sendInput('a', 1, key(4));
    sendInput('b', 3, key(5));
    await received({ t: 'key', keysym: 5, down: true });
    expect(server.messages).toHaveLength(1);
    expect((await dropped('not_holder')) - before).toBe(4);
    await waitFor('the notices', () => viewer.seen.dropped.length === 2);
    expect(viewer.seen.dropped).toEqual([
      { viewerId: 'b', reason: 'not_holder', count: 1 },
      { viewerId: 'a', reason: 'not_holder', count: 3 },
    ]);
  });
});
