import type { ActionsAnswer } from '@warmwind/shared/contract/actions/answer';
import { ApiError } from '@warmwind/shared/contract/errors';
import { screenKeys } from '@warmwind/shared/contract/screen';
import type { ContainerRef } from '@warmwind/shared/engine/node/records';
import { countListeners } from '@warmwind/shared/runtime/node/listeners';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import type { ActionCall } from '../actions/desk.ts';
import type { Engine } from '../containers/engine.ts';
import { FramebufferMemory } from '../framebuffer/memory.ts';
import type { Picture } from '../framebuffer/picture.ts';
import { loop } from '../loop.ts';
import type { InputGate } from './input.ts';
import type { ScreenMetrics } from './metrics.ts';
import { Screen, type ScreenPauses } from './screen.ts';
import { type ScreenshotRequest, Screenshots } from './screenshot.ts';
import { ScreenTurns } from './turns.ts';

/** How often the relays that watch each screen are counted, ms. */
const WATCHED_EVERY_MS = 1000;

export type ScreenHostOptions = {
  engine: Engine;
  /** The realtime Redis: a fail-fast connection, and a queueing one for subscriptions alone. */
  redis: Redis;
  subscriber: Redis;
  pauses: ScreenPauses;
  metrics: ScreenMetrics;
  /** Whether this process may act for its host now; messages are dropped while it may not. */
  mayAct?: () => boolean;
  log: Logger;
};

/** `engineId`: the id of the desktop's present engine container. */
type Shown = { engineId: string; screen: Screen };

/** The screens of all desktops that run on this host. */
export class ScreenHost {
  readonly #o: ScreenHostOptions;
  readonly #shown = new Map<string, Shown>();
  /** By the channel to which relays publish. */
  readonly #channels = new Map<string, Screen>();
  readonly #screenshots = new Screenshots();
  readonly #memory = new FramebufferMemory();
  readonly #turns = new ScreenTurns();
  readonly #stopped = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: ScreenHostOptions) {
    this.#o = options;
    options.subscriber.on('smessage', (channel: string, message: string) => {
      if (options.mayAct?.() !== false) this.#channels.get(channel)?.receive(message);
    });
  }

  start(): void {
    const { log } = this.#o;
    this.#loop ??= loop('screens', log, this.#stopped.signal, async () => {
      await this.#countRelays([...this.#shown.keys()]);
      return WATCHED_EVERY_MS;
    });
  }

  /**
   * Registers a desktop of this user that runs here. Repeated calls for one engine container have no effect.
   * @param idleMs how long ago it was last used, ms
   */
  runs({ userId, containerId }: ContainerRef, engineId: string, idleMs = 0): void {
    const known = this.#shown.get(containerId);
    if (known?.engineId === engineId || this.#stopped.signal.aborted) return;
    void known?.screen.close();
    const { engine, redis, pauses, metrics, log } = this.#o;
    let found: Promise<string> | undefined;
    const socketPath = () => {
      found ??= engine.socketPath(engineId);
      found.catch(() => {
        found = undefined;
      });
      return found;
    };
    const screen = new Screen({
      containerId,
      socketPath,
      redis,
      screenshots: this.#screenshots,
      memory: this.#memory,
      userId,
      turn: this.#turns.join(userId),
      pauses,
      idleMs,
      metrics,
      log,
    });
    this.#shown.set(containerId, { engineId, screen });
    const up = screenKeys.up(containerId);
    this.#channels.set(up, screen);
    this.#o.subscriber.ssubscribe(up).catch(() => undefined);
    // Relays may watch the desktop already: their viewers survive a restart of this process.
    this.#countRelays([containerId]).catch(() => undefined);
  }

  /** Closes the screen of a desktop that ended, and publishes `why` to its viewers. Never rejects. */
  async ended(containerId: string, why: string): Promise<void> {
    await this.#forget(containerId, why);
  }

  /** Returns the time since a desktop was last used, ms; `undefined` when it is unknown. */
  idleMs(containerId: string): number | undefined {
    return this.#shown.get(containerId)?.screen.idleMs;
  }

  /** Marks a desktop as in use by other means than its screen. */
  use(containerId: string): void {
    this.#shown.get(containerId)?.screen.use();
  }

  /** Whether a desktop is paused: no input reaches it. */
  isPaused(containerId: string): boolean {
    return this.#o.pauses.by(containerId) !== undefined;
  }

  /**
   * Notifies a gate for input of every change of control.
   * @returns a function that removes the gate
   * @throws Error when the desktop does not run on this host
   */
  addGate(containerId: string, gate: InputGate): () => void {
    const shown = this.#shown.get(containerId);
    if (!shown) throw new Error('the desktop does not run here');
    return shown.screen.addGate(gate);
  }

  /**
   * Takes an encoded picture of the present screen of a desktop.
   * @returns `undefined` when it has not changed
   * @throws ApiError `unavailable` or `bad_request`
   */
  async screenshot(
    containerId: string,
    request: ScreenshotRequest,
    signal: AbortSignal,
  ): Promise<Picture | undefined> {
    return this.#screen(containerId).screenshot(request, signal);
  }

  /**
   * Carries out actions on a desktop.
   * @throws ApiError, or the reason of the call's signal
   */
  async act(containerId: string, call: ActionCall): Promise<ActionsAnswer> {
    return this.#screen(containerId).act(call);
  }

  /** @throws ApiError `unavailable` */
  #screen(containerId: string): Screen {
    const shown = this.#shown.get(containerId);
    if (shown) return shown.screen;
    throw new ApiError('unavailable', 'The desktop does not run on this host now. Retry in a moment.');
  }

  /** Closes all screens: another process may hold this host's lease now. Viewers wait for that process. */
  async forgetAll(): Promise<void> {
    await Promise.all([...this.#shown.keys()].map((containerId) => this.#forget(containerId)));
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
    await this.forgetAll();
  }

  async #forget(containerId: string, why?: string): Promise<void> {
    const shown = this.#shown.get(containerId);
    this.#shown.delete(containerId);
    if (!shown) return;
    const up = screenKeys.up(containerId);
    this.#channels.delete(up);
    this.#o.subscriber.sunsubscribe(up).catch(() => undefined);
    await shown.screen.close(why);
  }

  /** Counts the relays that have viewers of these desktops. This makes up for lost messages of relays. */
  async #countRelays(containerIds: string[]): Promise<void> {
    const channels = containerIds.map((containerId) => screenKeys.down(containerId));
    const counts = await countListeners(this.#o.redis, channels);
    for (const [index, containerId] of containerIds.entries()) {
      this.#shown.get(containerId)?.screen.updateRelays(counts[index] ?? 0);
    }
  }
}
