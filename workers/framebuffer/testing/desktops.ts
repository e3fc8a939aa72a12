import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ActionsAnswer } from '@warmwind/shared/contract/actions/answer';
import { ActionsInput } from '@warmwind/shared/contract/actions/input';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import type { z } from 'zod';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { Agents } from '../../actions/agents.ts';
import { createScreenMetrics } from '../../screen/metrics.ts';
import { Screenshots } from '../../screen/screenshot.ts';
import { ScreenTurns } from '../../screen/turns.ts';
import { serveRfb } from '../../testing/rfb-server.ts';
import { FramebufferMemory } from '../memory.ts';

/** Longer than a desktop may take, and shorter than a call may take, ms. */
const PATIENCE_MS = 20_000;

/** How an RFB server behaves. */
export type Behaviour = NonNullable<Parameters<typeof serveRfb>[1]>;

type Input = Partial<z.input<typeof ActionsInput>>;
/** A desktop: sends a call with actions, and its memory. */
export type ServedDesktop = { memory: FramebufferMemory; act: (input?: Input) => Promise<ActionsAnswer> };

/** Desktops that are RFB servers without a screen, with their agents. */
export class ServedDesktops {
  readonly #dir: string;
  readonly #realtime: TestRedis;
  readonly #redis: Redis;
  readonly #turns = new ScreenTurns();
  readonly #screenshots = new Screenshots();
  readonly #metrics = createScreenMetrics(new Registry());
  readonly #open: (() => Promise<unknown>)[] = [];
  #count = 0;

  private constructor(dir: string, realtime: TestRedis, redis: Redis) {
    this.#dir = dir;
    this.#realtime = realtime;
    this.#redis = redis;
  }

  static async start(): Promise<ServedDesktops> {
    const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
    await mkdir(root, { recursive: true });
    const dir = await mkdtemp(join(root, 'framebuffer-'));
    const realtime = await startRedis();
    const redis = connectFailFast(realtime.url, 'test', silent);
    await waitFor('redis', () => redis.status === 'ready');
    return new ServedDesktops(dir, realtime, redis);
  }

  async stop(): Promise<void> {
    for (const stop of this.#open.splice(0).reverse()) await stop();
    await disconnect(this.#redis);
    await this.#realtime.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** Starts a desktop, of a user of its own, whose server behaves as given. */
  async serve(behaviour: Behaviour): Promise<ServedDesktop> {
    const containerId = `c${++this.#count}`;
    const userId = `user-of-${containerId}`;
    const server = await serveRfb(join(this.#dir, containerId), behaviour);
    this.#open.push(() => server.stop());
    const memory = new FramebufferMemory();
    const agents = new Agents({
      containerId,
      userId,
      socketPath: async () => server.path,
      redis: this.#redis,
      turn: this.#turns.join(userId),
      memory,
      screenshots: this.#screenshots,
      isStreamed: () => false,
      metrics: this.#metrics,
      log: silent,
    });
    this.#open.push(() => agents.close());
    const act = (input: Input = {}) =>
      agents.act({
        userId,
        credential: 'token:one',
        incarnation: 1,
        input: ActionsInput.parse({ actions: [{ type: 'move', x: 1, y: 1 }], screenshot: {}, ...input }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    return { memory, act };
  }
}

const silent = createLog('test');
silent.level = 'silent';

/** Makes an update of one rectangle. */
export function rect(x: number, y: number, w: number, h: number, encoding: number, data = Buffer.alloc(0)) {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(1, 2);
  for (const [index, value] of [x, y, w, h].entries()) head.writeUInt16BE(value, 4 + 2 * index);
  head.writeInt32BE(encoding, 12);
  return Buffer.concat([head, data]);
}

/** Answers each request for the complete screen, or for one pixel, with this update. */
export const honest = (update: Buffer): Behaviour => ({
  onRequest: (socket, incremental) => void (incremental || socket.write(update)),
});
