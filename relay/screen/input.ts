import {
  type DroppedReason,
  holdingViewer,
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
  /** It pressed a key or button while control was free: it asks for that. */
  asks: boolean;
  moved: boolean;
};

/** No keyboard holds more keys down. */
const MAX_PRESSED = 64;
/** A key that comes down again within this time, without having been released, is repeated by its keyboard, ms. */
const REPEAT_MS = 1500;
/** A desktop's keymap has room for at least so many letters beyond its layout. */
const LETTERS = 64;

/**
 * What one viewer does, on its way to the host: only while it holds control. A key or button that it presses asks for
 * that when nobody does; moves, repeated keys and releases do not, so that control which was released stays so. Of moves
 * of the pointer only the newest counts; all else keeps its order, and waits while it comes faster than a desktop takes
 * it. The viewer is notified of what is dropped. What was pressed can always be released.
 */
export class Input {
  readonly #viewer: Viewer;
  readonly #screen: Screen;
  readonly #request: () => Promise<unknown>;
  readonly #metrics: Metrics;
  readonly #bucket = new Bucket(LIMITS.inputsPerSecond, LIMITS.inputsBurst);
  #mask = 0;
  /** When each key that it holds down came down last, by keysym. */
  readonly #keys = new Map<number, number>();
  #move: Move | undefined;
  #moving: NodeJS.Timeout | undefined;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** Keys and buttons whose press was taken, and whose release was not yet. */
  readonly #down = new Set<number>();
  #downMask = 0;
  /** The letters beyond the layout that were typed last. */
  readonly #letters = new Set<number>();
  #asking = false;
  #draining: NodeJS.Timeout | undefined;

  /** @param request asks for control on the viewer's behalf */
  constructor(viewer: Viewer, screen: Screen, request: () => Promise<unknown>, metrics: Metrics) {
    this.#viewer = viewer;
    this.#screen = screen;
    this.#request = request;
    this.#metrics = metrics;
  }

  receive(input: ScreenInput): void {
    const pressed = this.#presses(input);
    const moved = input.t === 'ptr' && input.mask === this.#mask;
    if (this.#viewer.mode !== 'control') {
      this.#drop('view', moved);
    } else if (moved) {
      this.#move = input;
      this.#moving ??= setTimeout(() => this.#flush(), LIMITS.moveMs);
    } else {
      this.#flush();
      if (input.t === 'ptr') this.#mask = input.mask;
      this.#take({ input, asks: pressed && this.#screen.control.holder === null, moved });
    }
  }

  /** The viewer leaves: what waits is dropped. */
  close(): void {
    clearTimeout(this.#moving);
    clearTimeout(this.#draining);
    for (const { moved } of this.#waiting.splice(0)) this.#drop('not_watching', moved);
  }

  #flush(): void {
    clearTimeout(this.#moving);
    this.#moving = undefined;
    const input = this.#move;
    this.#move = undefined;
    if (input) this.#take({ input, asks: false, moved: true });
  }

  /** Does it press a key or a button that was not pressed before? */
  #presses(input: ScreenInput): boolean {
    if (input.t === 'ptr') return (input.mask & ~this.#mask) !== 0;
    if (input.t !== 'key') return false;
    const { keysym, down } = input;
    const [now, before] = [performance.now(), this.#keys.get(keysym)];
    if (!down) this.#keys.delete(keysym);
    else if (before !== undefined || this.#keys.size < MAX_PRESSED) this.#keys.set(keysym, now);
    return down && (before === undefined || now - before > REPEAT_MS);
  }

  #take(waiting: Waiting): void {
    const { input, moved } = waiting;
    const last = this.#waiting.at(-1);
    if (moved && last?.moved) {
      last.input = input;
      return;
    }
    if (this.#isFull && !this.#releases(input)) {
      this.#drop('too_many', moved);
      return;
    }
    if (input.t === 'ptr') this.#downMask = input.mask;
    else if (input.t === 'key' && input.down) this.#down.add(input.keysym);
    else if (input.t === 'key') this.#down.delete(input.keysym);
    this.#waiting.push(waiting);
    this.#waitingBytes += bytesOf(input);
    if (!this.#asking && !this.#draining) this.#drain();
  }

  get #isFull(): boolean {
    return this.#waiting.length >= LIMITS.inputsWaiting || this.#waitingBytes >= LIMITS.inputsWaitingBytes;
  }

  /** Does it release what is pressed on the desktop, or will be? */
  #releases(input: ScreenInput): boolean {
    if (input.t === 'ptr') return input.mask !== this.#downMask && (input.mask & ~this.#downMask) === 0;
    return input.t === 'key' && !input.down && this.#down.has(input.keysym);
  }

  /** Passes on what waits, as fast as a desktop takes it. */
  #drain(): void {
    this.#draining = undefined;
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { holder } = this.#screen.control;
      const mine = holder !== null && holdingViewer(holder) === this.#viewer.id;
      if (!holder && next.asks) {
        this.#ask();
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
      else this.#drop('not_holder', next.moved);
    }
  }

  /** Control has been asked for: what waits goes out, or is dropped when another has it or nobody knows. */
  #ask(): void {
    this.#asking = true;
    const done = () => {
      this.#asking = false;
      for (const waiting of this.#waiting) waiting.asks = false;
      this.#drain();
    };
    this.#request().then(done, done);
  }

  /** Programs read a changed keymap late: a letter must not take the place of one that is not read yet. */
  #cost(input: ScreenInput): number {
    if (input.t !== 'key') return Math.ceil(bytesOf(input) / LIMITS.inputBytes);
    const { keysym, down } = input;
    if (!down || isOnLayout(keysym) || this.#letters.has(keysym)) return 1;
    return LIMITS.inputsPerLetter;
  }

  #send({ input, moved }: Waiting, lease: number): void {
    this.#viewer.active();
    if (this.#screen.away) {
      this.#drop('host_away', moved);
      return;
    }
    if (input.t === 'key' && !isOnLayout(input.keysym)) this.#remember(input.keysym);
    const message = { t: 'input', viewerId: this.#viewer.id, lease, input } as const;
    this.#screen.publish(message).then(
      (listeners) => {
        if (listeners > 0) this.#metrics.inputs.inc({ outcome: 'sent' });
        else this.#drop('host_away', moved);
      },
      () => {
        this.#drop('host_away', moved, 'unavailable');
        this.#screen.receivedBy(0);
      },
    );
  }

  #remember(keysym: number): void {
    this.#letters.add(keysym);
    const [oldest] = this.#letters;
    if (this.#letters.size > LETTERS && oldest !== undefined) this.#letters.delete(oldest);
  }

  #drop(reason: DroppedReason, moved: boolean, outcome: string = reason): void {
    this.#metrics.inputs.inc({ outcome });
    if (!moved) this.#viewer.dropped(reason, publicHolder(this.#screen.control.holder));
  }
}

/** A text, and what any input takes. */
const bytesOf = (input: ScreenInput): number => (input.t === 'cut' ? 2 * input.text.length : 0) + 100;
