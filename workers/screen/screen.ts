import { setTimeout as sleep } from 'node:timers/promises';
import type { ActionsAnswer } from '@warmwind/shared/contract/actions/answer';
import { type ScreenInput, screenKeys, ToHost } from '@warmwind/shared/contract/screen';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import { Agents } from '../actions/agents.ts';
import type { ActionCall } from '../actions/desk.ts';
import type { FramebufferMemory } from '../framebuffer/memory.ts';
import type { Picture } from '../framebuffer/picture.ts';
import { NEVER_PAUSED, type Pauses } from '../pauses/pauses.ts';
import { Dropped } from './dropped.ts';
import { packText } from './frame.ts';
import { InputGate, type InputTarget } from './input.ts';
import type { ScreenMetrics } from './metrics.ts';
import { nextEpoch } from './publisher.ts';
import { Connection } from './rfb/connection.ts';
import type { ScreenshotRequest, Screenshots } from './screenshot.ts';
import { Stream } from './stream.ts';
import type { Turn } from './turns.ts';

/** How long a stream continues without viewers, ms: long enough for a viewer to reconnect. */
const LINGER_MS = 4000;
/** Back-off before a failed stream is opened again, ms. A stream that lasted resets it. */
const RETRY_MS = { least: 100, most: 10_000, lasted: 10_000 };
/** Longest message of a relay, characters: a text for the clipboard, escaped. */
const MAX_MESSAGE = 2 * 2 ** 20;

export type ScreenOptions = {
  containerId: string;
  /** Resolves with the path of the desktop's RFB socket; rejects when the engine does not know it. */
  socketPath: () => Promise<string>;
  /** The realtime Redis, a fail-fast connection. */
  redis: Redis;
  screenshots: Screenshots;
  memory: FramebufferMemory;
  /** Its owner's share of this process's time. */
  turn: Turn;
  userId: string;
  /** Never paused if left out. */
  pauses?: ScreenPauses;
  /** How long ago the desktop was last used, ms; 0 if left out. */
  idleMs?: number;
  metrics: ScreenMetrics;
  log: Logger;
};

/** The pauses of desktops, as their screens need them. */
export type ScreenPauses = Pick<Pauses, 'by' | 'wake' | 'thawed'>;

/** The screen of one running desktop: streamed while it has viewers, and steered by messages of relays. */
export class Screen {
  readonly #o: ScreenOptions;
  readonly #downChannel: string;
  readonly #input: InputGate;
  /** Gates of sessions: each session has its own connection to the desktop. */
  readonly #gates = new Set<InputGate>();
  readonly #agents: Agents;
  readonly #dropped = new Dropped((notice) => this.#publish('dropped', JSON.stringify(notice)));
  #stream: Stream | undefined;
  #showing: { stop: AbortController; done: Promise<void> } | undefined;
  readonly #pauses: ScreenPauses;
  #usedAt: number;
  #closed = false;

  constructor(options: ScreenOptions) {
    this.#o = options;
    this.#usedAt = performance.now() - (options.idleMs ?? 0);
    this.#pauses = options.pauses ?? NEVER_PAUSED;
    const { redis, containerId, metrics } = options;
    this.#downChannel = screenKeys.down(containerId);
    this.#agents = new Agents({ ...options, isStreamed: () => this.#stream !== undefined });
    this.#input = new InputGate({
      redis,
      containerId,
      onDropped: (viewerId, reason, moved, count) => {
        metrics.inputDropped.inc({ reason }, count);
        if (!moved) this.#dropped.add(viewerId, reason, count);
      },
    });
    this.#follow(this.#input);
    this.#gates.add(this.#agents.gate);
  }

  /** Time since it was last used, ms: watched, typed in, or called. */
  get idleMs(): number {
    return performance.now() - this.#usedAt;
  }

  /** Takes the number of relays that have viewers of it. Called periodically. */
  updateRelays(relays: number): void {
    if (relays > 0) {
      this.use();
      this.#wake();
      this.#show();
    } else if (this.idleMs > LINGER_MS) this.#showing?.stop.abort();
  }

  /** Takes a message of a relay; ignores a malformed one. */
  receive(text: string): void {
    const message = parse(text);
    if (!message || this.#closed) return;
    if (message.t === 'input') {
      this.use();
      this.#input.take(message);
    } else if (message.t === 'control') {
      for (const gate of [this.#input, ...this.#gates]) gate.changed();
    } else if (message.t === 'release') void this.#input.release();
    else {
      this.use();
      this.#wake();
      this.#show();
      this.#stream?.keyframe();
    }
  }

  /** Notifies a gate of every change of control, and of its end. @returns a function that removes the gate */
  addGate(gate: InputGate): () => void {
    this.#gates.add(gate);
    this.#follow(gate);
    return () => this.#gates.delete(gate);
  }

  /** Marks the desktop as in use by other means than its screen. */
  use(): void {
    this.#usedAt = performance.now();
  }

  /** Ends the stream, and publishes `why`, if given, to the viewers. Never rejects. */
  async close(why?: string): Promise<void> {
    this.#closed = true;
    this.#showing?.stop.abort();
    await Promise.all([this.#showing?.done, this.#agents.close()]);
    this.#input.close();
    this.#dropped.send();
    if (why !== undefined) await this.#publish('gone', why);
  }

  /** Never rejects. */
  async #publish(kind: 'gone' | 'dropped', text: string): Promise<void> {
    const head = { kind, epoch: nextEpoch(), seq: 0, width: 0, height: 0 } as const;
    await this.#o.redis.spublish(this.#downChannel, packText(head, text)).catch(() => undefined);
  }

  /**
   * Takes an encoded picture of the present screen.
   * @returns `undefined` when it has not changed
   * @throws ApiError `unavailable` or `bad_request`
   */
  async screenshot(request: ScreenshotRequest, signal: AbortSignal): Promise<Picture | undefined> {
    const { userId, screenshots, metrics } = this.#o;
    try {
      const taken = await screenshots.take(
        { userId, framebuffer: this.#agents.framebuffer },
        request,
        signal,
      );
      metrics.screenshots.inc({ outcome: taken ? 'sent' : 'unchanged' });
      return taken;
    } catch (error) {
      metrics.screenshots.inc({ outcome: 'failed' });
      throw error;
    }
  }

  /**
   * Carries out actions.
   * @throws ApiError, or the reason of the call's signal
   */
  act(call: ActionCall): Promise<ActionsAnswer> {
    return this.#agents.act(call);
  }

  /** Follows the pointer that a gate moves. */
  #follow(gate: InputGate): void {
    gate.onPointer((x, y) => this.#agents.pointAt(x, y));
  }

  /** Passes input to a stream. A paused desktop gets no more than releases: the rest would follow much later. */
  #unlessPaused(stream: Stream): InputTarget {
    const { containerId } = this.#o;
    return {
      send: (input, onLost) =>
        (this.#pauses.by(containerId) === undefined || releases(input)) && stream.send(input, onLost),
      stopTyping: () => stream.stopTyping(),
    };
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

  /** Resumes a desktop that was paused because it was idle: somebody watches it. */
  #wake(): void {
    const { userId, containerId } = this.#o;
    this.#pauses.wake({ userId, containerId });
  }

  /** Streams, and opens the stream again when it fails. Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const { containerId, metrics, log } = this.#o;
    let retryMs = RETRY_MS.least;
    while (!signal.aborted) {
      // A paused desktop answers nothing. A stream that is open by then stays open, and continues afterwards.
      await this.#pauses.thawed(containerId, signal).catch(() => undefined);
      const begun = performance.now();
      await this.#streamOnce(signal).catch((error: unknown) => {
        if (signal.aborted) return;
        metrics.malformed.inc();
        // The first failure in a row is enough.
        log[retryMs === RETRY_MS.least ? 'warn' : 'debug'](
          { containerId, err: error },
          'screen stream failed',
        );
      });
      if (performance.now() - begun > RETRY_MS.lasted) retryMs = RETRY_MS.least;
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, RETRY_MS.most);
    }
  }

  async #streamOnce(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { socketPath, redis, turn, metrics } = this.#o;
    const connection = await Connection.open(await socketPath());
    const publish = (frame: Buffer) => redis.spublish(this.#downChannel, frame);
    const onOpen = () => this.#input.attach(this.#unlessPaused(stream));
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

/** Does an input release a key or a button, or move the pointer? */
const releases = (input: ScreenInput): boolean =>
  (input.t === 'key' && !input.down) || (input.t === 'ptr' && input.mask === 0);

function parse(text: string): ToHost | undefined {
  if (text.length > MAX_MESSAGE) return undefined;
  try {
    return ToHost.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
