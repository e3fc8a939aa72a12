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

/** The host of one desktop, as the relay sees it: publishes frames, and receives the messages of relays. */
export class TestHost {
  /** The messages of relays. */
  readonly received: ToHost[] = [];
  /** The keyframe with which it answers a request, or its length in bytes; null: it does not answer. */
  answers: number | Buffer | null = null;
  epoch = 1000;
  size = { width: 1280, height: 720 };
  seq = 0;
  readonly #containerId: string;
  readonly #redis: Redis;
  readonly #subscriber: Redis;

  private constructor(containerId: string, redis: Redis, subscriber: Redis) {
    this.#containerId = containerId;
    this.#redis = redis;
    this.#subscriber = subscriber;
  }

  static async start(
    world: World,
    containerId: string,
    answers: TestHost['answers'] = null,
  ): Promise<TestHost> {
    const redis = new Redis(world.realtime.url, { maxRetriesPerRequest: null });
    const subscriber = new Redis(world.realtime.url, { maxRetriesPerRequest: null });
    for (const connection of [redis, subscriber]) connection.on('error', () => undefined);
    const host = new TestHost(containerId, redis, subscriber);
    host.answers = answers;
    subscriber.on('smessage', (_channel: string, message: string) => {
      const parsed = ToHost.parse(JSON.parse(message));
      host.received.push(parsed);
      if (parsed.t === 'key' && host.answers !== null) host.key(host.answers).catch(() => undefined);
    });
    await subscriber.ssubscribe(screenKeys.up(containerId));
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

  /** @returns the number of subscribed relay nodes */
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

  /** @returns the number of subscribed relay nodes */
  async listeners(): Promise<number> {
    const [count = 0] = await countListeners(this.#redis, [screenKeys.down(this.#containerId)]);
    return count;
  }

  /** Resolves when every message that was sent before has been received. */
  async settled(): Promise<void> {
    const before = this.received.length;
    await this.#redis.spublish(screenKeys.up(this.#containerId), JSON.stringify({ t: 'control' }));
    await waitFor('the messages', () => this.received.slice(before).some(({ t }) => t === 'control'));
  }

  /** Stops receiving messages, while it continues to run. */
  async deaf(): Promise<void> {
    await this.#subscriber.sunsubscribe(screenKeys.up(this.#containerId));
  }

  async receive(): Promise<void> {
    await this.#subscriber.ssubscribe(screenKeys.up(this.#containerId));
  }

  stop(): void {
    this.#redis.disconnect();
    this.#subscriber.disconnect();
  }
}
