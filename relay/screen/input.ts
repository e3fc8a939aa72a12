import type { ScreenInput } from '@warmwind/shared/screen';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Bucket } from '../sockets/bucket.ts';
import { publicHolder, type Screen } from './screen.ts';
import type { Viewer } from './viewer.ts';

type Move = Extract<ScreenInput, { t: 'ptr' }>;

/** No keyboard holds more keys down. */
const MAX_PRESSED = 64;
/** A key that comes down again within this time, without having been released, is repeated by its keyboard, ms. */
const REPEAT_MS = 1500;

/**
 * What one viewer does, on its way to the host: only while it holds control. A key or button that it presses asks for
 * that when nobody does; moves, repeated keys and releases do not, so that control which was released stays so. Of moves
 * of the pointer only the newest counts; all else keeps its order. What may not pass is dropped and counted.
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
  /** What waits for control; `undefined` while it is not being asked for. */
  #waiting: ScreenInput[] | undefined;

  /** @param request asks for control on the viewer's behalf */
  constructor(viewer: Viewer, screen: Screen, request: () => Promise<unknown>, metrics: Metrics) {
    this.#viewer = viewer;
    this.#screen = screen;
    this.#request = request;
    this.#metrics = metrics;
  }

  receive(input: ScreenInput): void {
    const pressed = this.#presses(input);
    if (this.#viewer.mode !== 'control') {
      this.#drop('view', pressed);
    } else if (input.t === 'ptr' && input.mask === this.#mask) {
      this.#move = input;
      this.#moving ??= setTimeout(() => this.#flush(), LIMITS.moveMs);
    } else if (this.#bucket.take()) {
      this.#flush();
      if (input.t === 'ptr') this.#mask = input.mask;
      this.#forward(input, pressed);
    } else {
      this.#drop('rate_limited');
    }
  }

  close(): void {
    clearTimeout(this.#moving);
  }

  #flush(): void {
    clearTimeout(this.#moving);
    this.#moving = undefined;
    const move = this.#move;
    this.#move = undefined;
    if (move) this.#forward(move, false);
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

  /** @param pressed a key or button: by pressing one a viewer asks for control */
  #forward(input: ScreenInput, pressed: boolean): void {
    const { holder } = this.#screen.control;
    if (this.#waiting) {
      if (this.#waiting.length < LIMITS.inputsWaiting) this.#waiting.push(input);
      else this.#drop('rate_limited');
    } else if (holder?.viewerId === this.#viewer.id) {
      this.#send(input, holder.lease);
    } else if (holder || !pressed) {
      this.#drop('not_holder', pressed);
    } else {
      this.#waiting = [input];
      this.#request().then(
        () => this.#resume(),
        () => this.#resume(),
      );
    }
  }

  /** Control has been asked for: what waits goes out, or is dropped when another has it or nobody knows. */
  #resume(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    const { holder } = this.#screen.control;
    for (const input of waiting) {
      if (holder?.viewerId === this.#viewer.id) this.#send(input, holder.lease);
      else this.#drop('not_holder', true);
    }
  }

  #send(input: ScreenInput, lease: number): void {
    this.#viewer.active();
    if (this.#screen.away) {
      this.#drop('host_away');
      return;
    }
    const message = { t: 'input', viewerId: this.#viewer.id, lease, input } as const;
    this.#screen.tell(message).then(
      (listeners) => this.#metrics.inputs.inc({ outcome: listeners > 0 ? 'sent' : 'host_away' }),
      () => {
        this.#metrics.inputs.inc({ outcome: 'unavailable' });
        this.#screen.heardBy(0);
      },
    );
  }

  /** @param pressed a key or button, whose user is notified that it reached nothing */
  #drop(outcome: 'view' | 'not_holder' | 'rate_limited' | 'host_away', pressed = false): void {
    this.#metrics.inputs.inc({ outcome });
    if (!pressed || (outcome !== 'view' && outcome !== 'not_holder')) return;
    this.#viewer.dropped(outcome, publicHolder(this.#screen.control.holder));
  }
}
