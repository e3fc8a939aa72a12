import { setTimeout as sleep } from 'node:timers/promises';
import { Control, type ScreenInput } from '@warmwind/shared/screen';
import type { Redis } from 'ioredis';
import { Later } from './later.ts';

/** Input that waits for Redis to say who is in control; more is dropped. */
const MAX_WAITING = 256;
/** No keyboard holds more keys down. */
const MAX_HELD = 64;
/** Who is in control is asked no more often than this for input that claims a lease nobody knows, ms. */
const LOOK_EVERY_MS = 50;

export type InputMessage = { viewerId: string; lease: number; input: ScreenInput };

/** Takes input to the desktop; false when it does not take it. */
export type InputTarget = { send: (input: ScreenInput) => boolean };

/** `until`: when that has to be asked again, by this process's clock. */
type InControl = { viewerId: string; lease: number; until: number };
type Reason = 'not_in_control' | 'too_much' | 'no_desktop';

export type InputOptions = {
  /** The realtime Redis, a prompt connection: who can't be known to be in control is not. */
  redis: Redis;
  /** Where it says who is in control. */
  key: string;
  onDropped: (reason: Reason) => void;
};

/**
 * Lets input through from who is in control, and from nobody else. What somebody holds down is let go when control
 * changes hands or runs out.
 */
export class InputGate {
  readonly #o: InputOptions;
  readonly #expiry = new Later();
  #target: InputTarget | undefined;
  #control: InControl | undefined;
  #keys = new Set<number>();
  #pointer = { x: 0, y: 0, mask: 0 };
  #waiting: InputMessage[] = [];
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: InputOptions) {
    this.#o = options;
  }

  /** Where input goes from now on. What was held down on another connection is let go on this one. */
  attach(target: InputTarget | undefined): void {
    this.#target = target;
    this.#letGo();
  }

  take(message: InputMessage): void {
    if (!this.#looking && !this.#isUnknown(message)) this.#apply(message);
    else if (this.#waiting.length >= MAX_WAITING) this.#o.onDropped('too_much');
    else {
      this.#waiting.push(message);
      this.#looking ??= this.#look();
    }
  }

  /** Control has changed hands: input waits until it is known whose they are. */
  changed(): void {
    this.#lookAgain = true;
    this.#looking ??= this.#look();
  }

  /** Something may have been lost on its way, such as that a key was let go of. What waits came before. */
  release(): void {
    if (this.#looking) void this.#looking.then(() => this.#letGo());
    else this.#letGo();
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
    for (const message of this.#waiting.splice(0)) this.#apply(message);
  }

  async #read(): Promise<InControl | undefined> {
    const { redis, key } = this.#o;
    const asked = performance.now();
    const answers = await redis.multi().get(key).pttl(key).exec();
    const [value, ttlMs] = (answers ?? []).map(([error, answer]) => (error ? undefined : answer));
    if (typeof value !== 'string' || typeof ttlMs !== 'number' || ttlMs <= 0) return undefined;
    const { viewerId, lease } = Control.parse(JSON.parse(value));
    return { viewerId, lease, until: asked + ttlMs };
  }

  #become(control: InControl | undefined): void {
    if (this.#closed) return;
    const before = this.#control;
    if (before && (control?.lease !== before.lease || control.viewerId !== before.viewerId)) this.#letGo();
    this.#control = control;
    this.#expiry.clear();
    if (control) this.#expiry.run(Math.max(1, control.until - performance.now()), () => this.changed());
  }

  #apply(message: InputMessage): void {
    const { input } = message;
    const refused = this.#refused(message);
    if (refused) this.#o.onDropped(refused);
    else if (input.t === 'ptr') this.#pointer = { x: input.x, y: input.y, mask: input.mask };
    else if (input.t === 'key' && input.down) this.#keys.add(input.keysym);
    else if (input.t === 'key') this.#keys.delete(input.keysym);
  }

  /** Sends it, or says why not. */
  #refused({ viewerId, lease, input }: InputMessage): Reason | undefined {
    const control = this.#control;
    if (control?.viewerId !== viewerId || control.lease !== lease) return 'not_in_control';
    if (performance.now() > control.until) return 'not_in_control';
    const presses = input.t === 'key' && input.down && !this.#keys.has(input.keysym);
    if (presses && this.#keys.size >= MAX_HELD) return 'too_much';
    return this.#target?.send(input) ? undefined : 'no_desktop';
  }

  #letGo(): void {
    for (const keysym of this.#keys) this.#target?.send({ t: 'key', keysym, down: false });
    this.#keys.clear();
    const { x, y, mask } = this.#pointer;
    if (mask !== 0) this.#target?.send({ t: 'ptr', x, y, mask: 0 });
    this.#pointer = { x, y, mask: 0 };
  }
}
