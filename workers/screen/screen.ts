import { setTimeout as sleep } from 'node:timers/promises';
import type { ScreenshotFormat } from '@warmwind/shared/contract/commands/container-screenshot';
import { screenKeys, ToHost } from '@warmwind/shared/contract/screen';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import { Dropped } from './dropped.ts';
import { packText } from './frame.ts';
import { InputGate } from './input.ts';
import type { ScreenMetrics } from './metrics.ts';
import { nextEpoch } from './publisher.ts';
import { Connection } from './rfb/connection.ts';
import type { Screenshot, Screenshots } from './screenshot.ts';
import { Stream } from './stream.ts';
import type { Turn } from './turns.ts';

/** How long a stream goes on when nobody watches any more, ms: long enough for a viewer that reconnects. */
const LINGER_MS = 4000;
/** A stream that broke is begun again after this, ms, and later each time; one that lasted makes that short again. */
const AGAIN_MS = { least: 100, most: 10_000, lasted: 10_000 };
/** A message of a relay is no longer: text for the clipboard, escaped. */
const MAX_MESSAGE = 2 * 2 ** 20;

export type ScreenOptions = {
  containerId: string;
  /** Where the desktop's RFB socket is; rejects when the engine does not say. */
  socketPath: () => Promise<string>;
  /** The realtime Redis, a prompt connection. */
  redis: Redis;
  screenshots: Screenshots;
  /** Its owner's part in what this host has time for. */
  turn: Turn;
  userId: string;
  metrics: ScreenMetrics;
  log: Logger;
};

/** One running desktop: it is shown while somebody watches, and hears what relays say to it. */
export class Screen {
  readonly #o: ScreenOptions;
  readonly #down: string;
  readonly #input: InputGate;
  /** Gates of sessions, which have connections of their own to the desktop. */
  readonly #gates = new Set<InputGate>();
  readonly #dropped = new Dropped((notice) => this.#publish('dropped', JSON.stringify(notice)));
  #stream: Stream | undefined;
  #showing: { stop: AbortController; done: Promise<void> } | undefined;
  #usedAt = performance.now();
  #closed = false;

  constructor(options: ScreenOptions) {
    this.#o = options;
    const { redis, containerId, metrics } = options;
    this.#down = screenKeys.down(containerId);
    this.#input = new InputGate({
      redis,
      containerId,
      onDropped: (viewerId, reason, moved) => {
        metrics.inputDropped.inc({ reason });
        if (!moved) this.#dropped.add(viewerId, reason);
      },
    });
  }

  /** How long nobody has watched or called it, ms; since this process knows it. */
  get idleMs(): number {
    return performance.now() - this.#usedAt;
  }

  /** Said again and again: how many relays have viewers of it. */
  watched(relays: number): void {
    if (relays > 0) {
      this.#usedAt = performance.now();
      this.#show();
    } else if (this.idleMs > LINGER_MS) this.#showing?.stop.abort();
  }

  /** What a relay says; anything else is ignored. */
  receive(text: string): void {
    const message = parse(text);
    if (!message || this.#closed) return;
    if (message.t === 'input') this.#input.take(message);
    else if (message.t === 'control') {
      for (const gate of [this.#input, ...this.#gates]) gate.changed();
    } else if (message.t === 'release') void this.#input.release();
    else {
      this.#usedAt = performance.now();
      this.#show();
      this.#stream?.key();
    }
  }

  /** Notifies a gate of every change of control, and of its end. @returns to be called when it is closed */
  addGate(gate: InputGate): () => void {
    this.#gates.add(gate);
    return () => this.#gates.delete(gate);
  }

  /** It is in use, by another way than its picture. */
  use(): void {
    this.#usedAt = performance.now();
  }

  /** Shows it no more; `why` is told to who watches. Never rejects. */
  async close(why?: string): Promise<void> {
    this.#closed = true;
    this.#showing?.stop.abort();
    await this.#showing?.done;
    this.#input.close();
    this.#dropped.send();
    if (why !== undefined) await this.#publish('gone', why);
  }

  /** Never rejects. */
  async #publish(kind: 'gone' | 'dropped', text: string): Promise<void> {
    const head = { kind, epoch: nextEpoch(), seq: 0, width: 0, height: 0 } as const;
    await this.#o.redis.spublish(this.#down, packText(head, text)).catch(() => undefined);
  }

  /** An encoded picture of what the desktop shows now. @throws ApiError `unavailable` */
  async screenshot(format: ScreenshotFormat): Promise<Screenshot> {
    const { userId, screenshots, socketPath, turn, metrics } = this.#o;
    try {
      const taken = await screenshots.take({ userId, socketPath, turn }, format);
      metrics.screenshots.inc({ outcome: 'sent' });
      return taken;
    } catch (error) {
      metrics.screenshots.inc({ outcome: 'failed' });
      throw error;
    }
  }

  #show(): void {
    if (this.#closed || this.#showing) return;
    const stop = new AbortController();
    this.#o.metrics.streams.inc();
    const done = this.#run(stop.signal).finally(() => {
      this.#o.metrics.streams.dec();
      this.#showing = undefined;
    });
    this.#showing = { stop, done };
  }

  /** Streams, again whenever that breaks off. Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const { containerId, metrics, log } = this.#o;
    let againMs = AGAIN_MS.least;
    while (!signal.aborted) {
      const begun = performance.now();
      await this.#once(signal).catch((error: unknown) => {
        if (signal.aborted) return;
        metrics.malformed.inc();
        // Once in a row is enough.
        log[againMs === AGAIN_MS.least ? 'warn' : 'debug']({ containerId, err: error }, 'screen broke off');
      });
      if (performance.now() - begun > AGAIN_MS.lasted) againMs = AGAIN_MS.least;
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
      againMs = Math.min(againMs * 2, AGAIN_MS.most);
    }
  }

  async #once(signal: AbortSignal): Promise<void> {
    const { socketPath, redis, turn, metrics } = this.#o;
    const connection = await Connection.open(await socketPath());
    const publish = (frame: Buffer) => redis.spublish(this.#down, frame);
    const onOpen = () => this.#input.attach(stream);
    const stream = new Stream({ connection, publish, onOpen, turn, metrics });
    this.#stream = stream;
    try {
      await stream.run(signal);
    } finally {
      this.#stream = undefined;
      this.#input.attach(undefined);
    }
  }
}

function parse(text: string): ToHost | undefined {
  if (text.length > MAX_MESSAGE) return undefined;
  try {
    return ToHost.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
