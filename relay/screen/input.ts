import {
  type DroppedReason,
  holdingViewer,
  inputsIn,
  isOnLayout,
  type ScreenInput,
} from '@warmwind/shared/contract/screen';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Bucket } from '../sockets/bucket.ts';
import { publicHolder, type Screen } from './screen.ts';
import type { Viewer } from './viewer.ts';

type Move = Extract<ScreenInput, { t: 'ptr' }>;
type Waiting = {
  input: ScreenInput;
  /** It pressed a key or button while control was free, so it requests control. */
  requestsControl: boolean;
  /** It only moves the pointer. */
  moved: boolean;
};

/** The most keys that count as held down; further ones are not tracked. */
const MAX_PRESSED = 64;
/** A second press of a key that was not released, within this time, is a repeat of the keyboard, ms. */
const REPEAT_MS = 1500;
/** The least number of characters outside the layout for which a desktop's keymap has room. */
const LETTERS = 40;

/**
 * Forwards the input of one viewer to the host while that viewer holds control.
 *
 * - A pressed key or button requests control when control is free. Moves, repeated keys and releases do not,
 *   so that released control stays free.
 * - Only the newest move of the pointer is sent. All other input keeps its order, and queues when it arrives
 *   faster than a desktop accepts it.
 * - Dropped input is reported to the viewer. The release of a pressed key or button is never dropped for a
 *   full queue.
 */
export class Input {
  readonly #viewer: Viewer;
  readonly #screen: Screen;
  readonly #requestControl: () => Promise<unknown>;
  readonly #metrics: Metrics;
  readonly #bucket = new Bucket(LIMITS.inputsPerSecond, LIMITS.inputsBurst);
  #mask = 0;
  /** The time of the last press of each key that is held down, by keysym. */
  readonly #keys = new Map<number, number>();
  #move: Move | undefined;
  #moving: NodeJS.Timeout | undefined;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** Keys and buttons whose press was accepted and whose release was not yet. */
  readonly #down = new Set<number>();
  #downMask = 0;
  /** The keysyms outside the layout that were typed last. */
  readonly #letters = new Set<number>();
  #requesting = false;
  #draining: NodeJS.Timeout | undefined;

  /** @param requestControl requests control for the viewer */
  constructor(viewer: Viewer, screen: Screen, requestControl: () => Promise<unknown>, metrics: Metrics) {
    this.#viewer = viewer;
    this.#screen = screen;
    this.#requestControl = requestControl;
    this.#metrics = metrics;
  }

  receive(input: ScreenInput): void {
    const pressed = this.#presses(input);
    const moved = input.t === 'ptr' && input.mask === this.#mask;
    if (this.#viewer.mode !== 'control') {
      this.#drop(input, 'view', moved);
    } else if (moved) {
      this.#move = input;
      this.#moving ??= setTimeout(() => this.#flush(), LIMITS.moveMs);
    } else {
      this.#flush();
      if (input.t === 'ptr') this.#mask = input.mask;
      const requestsControl = pressed && this.#screen.control.holder === null;
      this.#enqueue({ input, requestsControl, moved });
    }
  }

  /** Drops queued input: the viewer leaves. */
  close(): void {
    clearTimeout(this.#moving);
    clearTimeout(this.#draining);
    for (const { input, moved } of this.#waiting.splice(0)) this.#drop(input, 'not_watching', moved);
  }

  #flush(): void {
    clearTimeout(this.#moving);
    this.#moving = undefined;
    const input = this.#move;
    this.#move = undefined;
    if (input) this.#enqueue({ input, requestsControl: false, moved: true });
  }

  /** Does the input press a key or button that was not pressed before? */
  #presses(input: ScreenInput): boolean {
    if (input.t === 'ptr') return (input.mask & ~this.#mask) !== 0;
    if (input.t === 'text') return true;
    if (input.t !== 'key') return false;
    const { keysym, down } = input;
    const [now, before] = [performance.now(), this.#keys.get(keysym)];
    if (!down) this.#keys.delete(keysym);
    else if (before !== undefined || this.#keys.size < MAX_PRESSED) this.#keys.set(keysym, now);
    return down && (before === undefined || now - before > REPEAT_MS);
  }

  #enqueue(waiting: Waiting): void {
    const { input, moved } = waiting;
    const last = this.#waiting.at(-1);
    if (moved && last?.moved) {
      last.input = input;
      return;
    }
    if (this.#isFull && !this.#releases(input)) {
      this.#drop(input, 'too_many', moved);
      return;
    }
    if (input.t === 'ptr') this.#downMask = input.mask;
    else if (input.t === 'key' && input.down) this.#down.add(input.keysym);
    else if (input.t === 'key') this.#down.delete(input.keysym);
    this.#waiting.push(waiting);
    this.#waitingBytes += bytesOf(input);
    if (!this.#requesting && !this.#draining) this.#drain();
  }

  get #isFull(): boolean {
    return this.#waiting.length >= LIMITS.inputsWaiting || this.#waitingBytes >= LIMITS.inputsWaitingBytes;
  }

  /** Does the input release a key or button that is pressed on the desktop or in the queue? */
  #releases(input: ScreenInput): boolean {
    if (input.t === 'ptr') return input.mask !== this.#downMask && (input.mask & ~this.#downMask) === 0;
    return input.t === 'key' && !input.down && this.#down.has(input.keysym);
  }

  /** Sends queued input, as fast as a desktop accepts it. */
  #drain(): void {
    this.#draining = undefined;
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { holder } = this.#screen.control;
      const mine = holder !== null && holdingViewer(holder) === this.#viewer.id;
      if (!holder && next.requestsControl) {
        this.#request();
        return;
      }
      const cost = mine && !this.#screen.away ? this.#cost(next.input) : 0;
      if (!this.#bucket.take(cost)) {
        this.#draining = setTimeout(() => this.#drain(), Math.ceil(this.#bucket.waitMs(cost)));
        return;
      }
      this.#waiting.shift();
      this.#waitingBytes -= bytesOf(next.input);
      if (mine) this.#send(next, holder.lease);
      else this.#drop(next.input, 'not_holder', next.moved);
    }
  }

  /** Requests control, then sends queued input, or drops it when the request was not granted. */
  #request(): void {
    this.#requesting = true;
    const done = () => {
      this.#requesting = false;
      for (const waiting of this.#waiting) waiting.requestsControl = false;
      this.#drain();
    };
    this.#requestControl().then(done, done);
  }

  /**
   * Programs read a changed keymap late. A new character costs more, so that it does not replace one in the
   * keymap that a program has not read yet.
   */
  #cost(input: ScreenInput): number {
    if (input.t !== 'key') return Math.ceil(bytesOf(input) / LIMITS.inputBytes);
    const { keysym, down } = input;
    if (!down || isOnLayout(keysym) || this.#letters.has(keysym)) return 1;
    return LIMITS.inputsPerLetter;
  }

  #send({ input, moved }: Waiting, lease: number): void {
    this.#viewer.active();
    if (this.#screen.away) {
      this.#drop(input, 'host_away', moved);
      return;
    }
    if (input.t === 'key' && !isOnLayout(input.keysym)) this.#remember(input.keysym);
    const message = { t: 'input', viewerId: this.#viewer.id, lease, input } as const;
    this.#screen.publish(message).then(
      (listeners) => {
        if (listeners > 0) this.#metrics.inputs.inc({ outcome: 'sent' });
        else this.#drop(input, 'host_away', moved);
      },
      () => {
        this.#drop(input, 'host_away', moved, 'unavailable');
        this.#screen.receivedBy(0);
      },
    );
  }

  #remember(keysym: number): void {
    this.#letters.add(keysym);
    const [oldest] = this.#letters;
    if (this.#letters.size > LETTERS && oldest !== undefined) this.#letters.delete(oldest);
  }

  #drop(input: ScreenInput, reason: DroppedReason, moved: boolean, outcome: string = reason): void {
    this.#metrics.inputs.inc({ outcome });
    if (!moved) this.#viewer.dropped(reason, publicHolder(this.#screen.control.holder), inputsIn(input));
  }
}

/** The estimated size of an input: its text, and a constant for the rest. */
const bytesOf = (input: ScreenInput): number => ('text' in input ? 2 * input.text.length : 0) + 100;
