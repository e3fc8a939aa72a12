import {
  FRAME_HEAD_BYTES,
  type FrameKind,
  type ScreenInput,
  screenKeys,
  ToHost,
  writeFrameHead,
} from '@warmwind/shared/contract/screen';
import { countListeners } from '@warmwind/shared/runtime/node/listeners';
import { Redis } from 'ioredis';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import type { World } from './world.ts';

/** The host of one desktop, as far as the relay can tell: publishes frames, and hears what relays say. */
export class TestHost {
  /** All that relays have said. */
  readonly received: ToHost[] = [];
  /** The keys with which it answers, or how many bytes they have; null: it does not answer. */
  answers: number | Buffer | null = null;
  epoch = 1000;
  size = { width: 1280, height: 720 };
  seq = 0;
  readonly #containerId: string;
  readonly #redis: Redis;
  readonly #ears: Redis;

  private constructor(containerId: string, redis: Redis, ears: Redis) {
    this.#containerId = containerId;
    this.#redis = redis;
    this.#ears = ears;
  }

  static async start(
    world: World,
    containerId: string,
    answers: TestHost['answers'] = null,
  ): Promise<TestHost> {
    const redis = new Redis(world.realtime.url, { maxRetriesPerRequest: null });
    const ears = new Redis(world.realtime.url, { maxRetriesPerRequest: null });
    for (const connection of [redis, ears]) connection.on('error', () => undefined);
    const host = new TestHost(containerId, redis, ears);
    host.answers = answers;
    ears.on('smessage', (_channel: string, message: string) => {
      const parsed = ToHost.parse(JSON.parse(message));
      host.received.push(parsed);
      if (parsed.t === 'key' && host.answers !== null) host.key(host.answers).catch(() => undefined);
    });
    await ears.ssubscribe(screenKeys.up(containerId));
    world.onTidy(() => host.stop());
    return host;
  }

  delta(bytes: number): Promise<number> {
    this.seq += 1;
    return this.publish('delta', Buffer.alloc(bytes, this.seq & 255));
  }

  key(what: number | Buffer): Promise<number> {
    return this.publish('key', typeof what === 'number' ? Buffer.alloc(what, this.seq & 255) : what);
  }

  /** → the relay nodes that listen */
  async publish(kind: FrameKind, payload: Buffer): Promise<number> {
    const head = Buffer.alloc(FRAME_HEAD_BYTES);
    writeFrameHead({ kind, epoch: this.epoch, seq: this.seq, ...this.size }, head);
    const channel = screenKeys.down(this.#containerId);
    return Number(await this.#redis.spublish(channel, Buffer.concat([head, payload])));
  }

  keyframesRequested(): number {
    return this.received.filter(({ t }) => t === 'key').length;
  }

  inputs(): { viewerId: string; lease: number; input: ScreenInput }[] {
    return this.received.flatMap((parsed) => (parsed.t === 'input' ? [parsed] : []));
  }

  /** Relay nodes that listen now. */
  async listeners(): Promise<number> {
    const [count = 0] = await countListeners(this.#redis, [screenKeys.down(this.#containerId)]);
    return count;
  }

  /** All that was said before has been heard. */
  async settled(): Promise<void> {
    const before = this.received.length;
    await this.#redis.spublish(screenKeys.up(this.#containerId), JSON.stringify({ t: 'control' }));
    await waitFor('what was said', () => this.received.slice(before).some(({ t }) => t === 'control'));
  }

  /** It goes on, and hears nothing. */
  async deaf(): Promise<void> {
    await this.#ears.sunsubscribe(screenKeys.up(this.#containerId));
  }

  async receive(): Promise<void> {
    await this.#ears.ssubscribe(screenKeys.up(this.#containerId));
  }

  stop(): void {
    this.#redis.disconnect();
    this.#ears.disconnect();
  }
}
