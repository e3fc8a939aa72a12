import { setTimeout as sleep } from 'node:timers/promises';
import {
  Control,
  Held,
  type HostDropped,
  holdingViewer,
  type ScreenInput,
  screenKeys,
} from '@warmwind/shared/contract/screen';
import type { Redis } from 'ioredis';
import { Throttle } from './throttle.ts';

/** Input that waits for Redis to say who is in control, and its texts together, letters; more is dropped. */
const MAX_WAITING = 1024;
const MAX_WAITING_TEXT = 512 * 1024;
/** No keyboard holds more keys down. */
const MAX_HELD = 64;
/** Who is in control is asked no more often than this for input that claims a lease nobody knows, ms. */
const LOOK_EVERY_MS = 50;
/** A button that was pressed longer ago is not let go of by another process, s. */
const HELD_S = 86_400;

export type InputMessage = { viewerId: string; lease: number; input: ScreenInput };

/** Takes input to the desktop; false when it does not take it. */
export type InputTarget = { send: (input: ScreenInput) => boolean };

type Pointer = Extract<ScreenInput, { t: 'ptr' }>;
/** `viewerId`: none while an agent is in control. `until`: when that has to be asked again, by this process's clock. */
type InControl = { viewerId: string | undefined; lease: number; until: number };
type Reason = HostDropped['reason'];

export type InputOptions = {
  /** The realtime Redis, a prompt connection: who can't be known to be in control is not. */
  redis: Redis;
  containerId: string;
  /** Input did not reach the desktop; `moved`: it only moved the pointer. */
  onDropped: (viewerId: string, reason: Reason, moved: boolean) => void;
};

/**
 * Lets input through from who is in control, and from nobody else. What somebody holds down is let go when control
 * changes hands or runs out.
 */
export class InputGate {
  readonly #o: InputOptions;
  readonly #expiry = new Throttle();
  #target: InputTarget | undefined;
  #control: InControl | undefined;
  #keys = new Set<number>();
  /** As it was last sent by this process. */
  #pointer: Pointer | undefined;
  #waiting: InputMessage[] = [];
  #waitingText = 0;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: InputOptions) {
    this.#o = options;
  }

  /**
   * Where input goes from now on. A desktop lets go of the keys of a connection that ended; not every VNC server does so
   * with its buttons.
   * @param releasesEarlier releases what an earlier process held pressed
   */
  attach(target: InputTarget | undefined, releasesEarlier = true): void {
    this.#target = target;
    this.#keys.clear();
    if (!target) return;
    if (this.#pointer) this.#releaseKeys();
    else if (releasesEarlier) void this.#releasePreviousPointer(target);
  }

  take(message: InputMessage): void {
    if (!this.#looking && !this.#isUnknown(message)) this.#apply(message);
    else if (this.#waiting.length >= MAX_WAITING || this.#waitingText > MAX_WAITING_TEXT) {
      this.#drop(message, 'too_many');
    } else {
      this.#waiting.push(message);
      this.#waitingText += textOf(message);
      this.#looking ??= this.#look();
    }
  }

  /** Control has changed hands: input waits until it is known whose they are. */
  changed(): void {
    this.#lookAgain = true;
    this.#looking ??= this.#look();
  }

  /** Something may have been lost on its way, such as that a key was let go of. What waits came before. */
  async release(): Promise<void> {
    if (this.#looking) await this.#looking;
    this.#releaseKeys();
  }

  close(): void {
    this.#closed = true;
    this.attach(undefined);
    this.#expiry.clear();
    this.#control = undefined;
    this.#waiting = [];
  }

  /** Its lease may be one that began, or was renewed, since Redis was asked. */
  #isUnknown({ lease }: InputMessage): boolean {
    const known = this.#control && performance.now() < this.#control.until ? this.#control.lease : 0;
    return lease > known;
  }

  async #look(): Promise<void> {
    const earlyMs = this.#lookedAt + LOOK_EVERY_MS - performance.now();
    if (earlyMs > 0 && !this.#lookAgain) await sleep(earlyMs);
    do {
      this.#lookAgain = false;
      this.#become(await this.#read().catch(() => undefined));
    } while (this.#lookAgain);
    this.#lookedAt = performance.now();
    this.#looking = undefined;
    this.#waitingText = 0;
    for (const message of this.#waiting.splice(0)) this.#apply(message);
  }

  async #read(): Promise<InControl | undefined> {
    const { redis, containerId } = this.#o;
    const key = screenKeys.control(containerId);
    const asked = performance.now();
    const answers = await redis.multi().get(key).pttl(key).exec();
    const [value, ttlMs] = (answers ?? []).map(([error, answer]) => (error ? undefined : answer));
    if (typeof value !== 'string' || typeof ttlMs !== 'number' || ttlMs <= 0) return undefined;
    const control = Control.parse(JSON.parse(value));
    return { viewerId: holdingViewer(control), lease: control.lease, until: asked + ttlMs };
  }

  #become(control: InControl | undefined): void {
    if (this.#closed) return;
    const before = this.#control;
    if (before && (control?.lease !== before.lease || control.viewerId !== before.viewerId))
      this.#releaseKeys();
    this.#control = control;
    this.#expiry.clear();
    if (control) this.#expiry.run(Math.max(1, control.until - performance.now()), () => this.changed());
  }

  #apply(message: InputMessage): void {
    const { input } = message;
    const refused = this.#refused(message);
    if (refused) this.#drop(message, refused);
    else if (input.t === 'ptr') this.#moved(input);
    else if (input.t === 'key' && input.down) this.#keys.add(input.keysym);
    else if (input.t === 'key') this.#keys.delete(input.keysym);
  }

  /** Sends it, or says why not. */
  #refused({ viewerId, lease, input }: InputMessage): Reason | undefined {
    const control = this.#control;
    if (control?.viewerId !== viewerId || control.lease !== lease) return 'not_holder';
    if (performance.now() > control.until) return 'not_holder';
    const presses = input.t === 'key' && input.down && !this.#keys.has(input.keysym);
    if (presses && this.#keys.size >= MAX_HELD) return 'too_many';
    return this.#target?.send(input) ? undefined : 'no_desktop';
  }

  #drop({ viewerId, input }: InputMessage, reason: Reason): void {
    this.#o.onDropped(viewerId, reason, input.t === 'ptr' && input.mask === (this.#pointer?.mask ?? 0));
  }

  #releaseKeys(): void {
    for (const keysym of this.#keys) this.#target?.send({ t: 'key', keysym, down: false });
    this.#keys.clear();
    if (!this.#pointer?.mask) return;
    const released = { ...this.#pointer, mask: 0 };
    if (this.#target?.send(released)) this.#moved(released);
  }

  /** Redis knows while a button is pressed: this process may end before it is let go of. */
  #moved(pointer: Pointer): void {
    const before = this.#pointer;
    const presses = pointer.mask !== 0;
    this.#pointer = pointer;
    if (before && presses === (before.mask !== 0)) return;
    const { redis, containerId } = this.#o;
    const key = screenKeys.held(containerId);
    const saved = presses
      ? redis.set(key, JSON.stringify(Held.parse(pointer)), 'EX', HELD_S)
      : redis.del(key);
    saved.catch(() => undefined);
  }

  /** Lets go of what an earlier process held pressed, where it pressed it: what was dragged stays where it was. */
  async #releasePreviousPointer(target: InputTarget): Promise<void> {
    const { redis, containerId } = this.#o;
    const key = screenKeys.held(containerId);
    try {
      const value = await redis.get(key);
      // Any move of the pointer has let go of it.
      if (!value || this.#target !== target || this.#pointer) return;
      const released: Pointer = { t: 'ptr', ...Held.parse(JSON.parse(value)), mask: 0 };
      if (target.send(released)) await redis.del(key);
    } catch {
      // The next move of the pointer lets go of it.
    }
  }
}

const textOf = ({ input }: InputMessage): number => (input.t === 'cut' ? input.text.length : 0);
