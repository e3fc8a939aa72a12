import { setTimeout as sleep } from 'node:timers/promises';
import {
  Control,
  Held,
  type Holder,
  type HostDropped,
  holdingViewer,
  inputsIn,
  type ScreenInput,
  screenKeys,
} from '@warmwind/shared/contract/screen';
import type { Redis } from 'ioredis';
import { Throttle } from './throttle.ts';

/** Most inputs that wait for a read of control, and most characters of their texts; more are dropped. */
const MAX_WAITING = 1024;
const MAX_WAITING_TEXT = 512 * 1024;
/** Most keys held down at once. */
const MAX_HELD = 64;
/** Least time between two reads of control for inputs with an unknown lease, ms. */
const LOOK_EVERY_MS = 50;
/** How long Redis remembers a pressed button, so that another process can release it, s. */
const HELD_S = 86_400;

export type InputMessage = {
  /** The viewer that sent it, or {@link agentName}. */
  viewerId: string;
  lease: number;
  input: ScreenInput;
  /** Called once the input was sent, or was dropped for a reason. */
  settled?: (reason: Reason | undefined) => void;
};

/** The desktop, as a gate uses it. */
export type InputTarget = {
  /**
   * Sends input. Returns false when the desktop does not accept it; calls `onLost` later with the number of
   * characters of a text that were not typed.
   */
  send: (input: ScreenInput, onLost?: (count: number) => void) => boolean;
  /** Ends the typing of texts. */
  stopTyping?: () => void;
};

type Pointer = Extract<ScreenInput, { t: 'ptr' }>;
/** `viewerId`: or the name of an agent. `until`: when control expires, by this process's clock. */
type InControl = { viewerId: string; lease: number; until: number };
type Reason = HostDropped['reason'];

/** Names an agent as the sender of input. Ids of viewers contain no colon. */
export const agentName = ({ userId, credential }: { userId: string; credential: string }): string =>
  `agent:${userId}:${credential}`;

const nameOf = (holder: Holder): string =>
  holder.type === 'agent' ? agentName(holder) : (holdingViewer(holder) ?? '');

export type InputOptions = {
  /** The realtime Redis, a fail-fast connection: while it fails, no viewer is in control. */
  redis: Redis;
  containerId: string;
  /**
   * Called for input that did not reach the desktop; `moved`: it only moved the pointer. `count`: a text
   * counts each of its characters.
   */
  onDropped: (viewerId: string, reason: Reason, moved: boolean, count: number) => void;
  /** Called when control has another holder, or none. */
  onHolder?: () => void;
};

/**
 * Passes input of the viewer in control, and drops all other input. Pressed keys and buttons are released
 * when control changes hands or expires.
 */
export class InputGate {
  readonly #o: InputOptions;
  readonly #expiry = new Throttle();
  #target: InputTarget | undefined;
  #control: InControl | undefined;
  #keys = new Set<number>();
  /** The pointer event that this process sent last. */
  #pointer: Pointer | undefined;
  readonly #waiting: InputMessage[] = [];
  #waitingText = 0;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #closed = false;
  #onPointer: (x: number, y: number) => void = () => undefined;

  constructor(options: InputOptions) {
    this.#o = options;
  }

  /**
   * Sets the target of input. A desktop releases the keys of a connection that ended; not every VNC server
   * releases its buttons.
   * @param releasesPrevious also releases buttons that an earlier process left pressed
   */
  attach(target: InputTarget | undefined, releasesPrevious = true): void {
    this.#target = target;
    this.#keys.clear();
    if (!target) return;
    if (this.#pointer) this.#releaseKeys();
    else if (releasesPrevious) void this.#releasePreviousPointer(target);
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

  /** Reads control after a change of hands; input waits for that. */
  changed(): void {
    this.#lookAgain = true;
    this.#looking ??= this.#look();
  }

  /** Reports each move of the pointer by this gate. */
  onPointer(listener: (x: number, y: number) => void): void {
    this.#onPointer = listener;
  }

  /** Sets the holder of control, who has just taken or renewed it, for this long, ms. */
  hold(viewerId: string, lease: number, ttlMs: number): void {
    if (lease < (this.#control?.lease ?? 0)) return;
    this.#become({ viewerId, lease, until: performance.now() + ttlMs });
  }

  /** The keys and the buttons that are pressed. */
  get pressed(): { keysyms: number[]; mask: number } {
    return { keysyms: [...this.#keys], mask: this.#pointer?.mask ?? 0 };
  }

  /** Whether this sender holds control, as far as is known. */
  isHeldBy(viewerId: string): boolean {
    return this.#control?.viewerId === viewerId && performance.now() < this.#control.until;
  }

  /** Releases all keys and buttons, after waiting inputs: a message may have been lost. Never rejects. */
  async release(): Promise<void> {
    if (this.#looking) await this.#looking;
    this.#releaseKeys();
  }

  close(): void {
    this.#closed = true;
    this.attach(undefined);
    this.#expiry.clear();
    this.#control = undefined;
    for (const message of this.#waiting.splice(0)) this.#drop(message, 'no_desktop');
  }

  /** True when the lease may have begun, or been renewed, since control was last read. */
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
    return { viewerId: nameOf(control), lease: control.lease, until: asked + ttlMs };
  }

  #become(control: InControl | undefined): void {
    if (this.#closed) return;
    const before = this.#control;
    const isOther = control?.lease !== before?.lease || control?.viewerId !== before?.viewerId;
    if (before && isOther) this.#releaseKeys();
    this.#control = control;
    if (isOther) {
      this.#target?.stopTyping?.();
      this.#o.onHolder?.();
    }
    this.#expiry.clear();
    if (control) this.#expiry.run(Math.max(1, control.until - performance.now()), () => this.changed());
  }

  #apply(message: InputMessage): void {
    const { input } = message;
    const refused = this.#refused(message);
    if (refused) {
      this.#drop(message, refused);
      return;
    }
    message.settled?.(undefined);
    if (input.t === 'ptr') this.#moved(input);
    else if (input.t === 'key' && input.down) this.#keys.add(input.keysym);
    else if (input.t === 'key') this.#keys.delete(input.keysym);
  }

  /** Sends an input. @returns the reason when it was not sent */
  #refused({ viewerId, lease, input }: InputMessage): Reason | undefined {
    const control = this.#control;
    if (control?.viewerId !== viewerId || control.lease !== lease) return 'not_holder';
    if (performance.now() > control.until) return 'not_holder';
    const presses = input.t === 'key' && input.down && !this.#keys.has(input.keysym);
    if (presses && this.#keys.size >= MAX_HELD) return 'too_many';
    const onLost = (count: number) =>
      this.#o.onDropped(viewerId, this.#control?.lease === lease ? 'no_desktop' : 'not_holder', false, count);
    return this.#target?.send(input, onLost) ? undefined : 'no_desktop';
  }

  #drop({ viewerId, input, settled }: InputMessage, reason: Reason): void {
    settled?.(reason);
    const moved = input.t === 'ptr' && input.mask === (this.#pointer?.mask ?? 0);
    this.#o.onDropped(viewerId, reason, moved, inputsIn(input));
  }

  #releaseKeys(): void {
    for (const keysym of this.#keys) this.#target?.send({ t: 'key', keysym, down: false });
    this.#keys.clear();
    if (!this.#pointer?.mask) return;
    const released = { ...this.#pointer, mask: 0 };
    if (this.#target?.send(released)) this.#moved(released);
  }

  /** Stores a pressed button in Redis: this process may end before its release. */
  #moved(pointer: Pointer): void {
    const before = this.#pointer;
    const presses = pointer.mask !== 0;
    this.#pointer = pointer;
    this.#onPointer(pointer.x, pointer.y);
    if (before && presses === (before.mask !== 0)) return;
    const { redis, containerId } = this.#o;
    const key = screenKeys.held(containerId);
    const saved = presses
      ? redis.set(key, JSON.stringify(Held.parse(pointer)), 'EX', HELD_S)
      : redis.del(key);
    saved.catch(() => undefined);
  }

  /** Releases buttons that an earlier process left pressed, at the place of their press. */
  async #releasePreviousPointer(target: InputTarget): Promise<void> {
    const { redis, containerId } = this.#o;
    const key = screenKeys.held(containerId);
    try {
      const value = await redis.get(key);
      // Any pointer event of this process has released them.
      if (!value || this.#target !== target || this.#pointer) return;
      const released: Pointer = { t: 'ptr', ...Held.parse(JSON.parse(value)), mask: 0 };
      if (target.send(released)) await redis.del(key);
    } catch {
      // The next pointer event releases them.
    }
  }
}

const textOf = ({ input }: InputMessage): number => ('text' in input ? input.text.length : 0);
