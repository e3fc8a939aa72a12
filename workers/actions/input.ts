import type { Button } from '@warmwind/shared/contract/actions/action';
import { BUTTON_MASK, NOTCH_MASK, type Step } from '@warmwind/shared/contract/actions/step';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { ScreenInput } from '@warmwind/shared/contract/screen';
import type { InputGate } from '../screen/input.ts';
import { type AgentControl, controlHeld } from './control.ts';

type InputStep = Exclude<Step, { do: 'text' | 'wait' | 'picture' }>;

/** The buttons and keys that are pressed. */
export type Pressed = { buttons: Button[]; keysyms: number[] };

/** Returns what a gate has pressed. */
export function pressedOf({ pressed: { keysyms, mask } }: InputGate): Pressed {
  const buttons = (Object.keys(BUTTON_MASK) as Button[]).filter((button) => mask & BUTTON_MASK[button]);
  return { buttons, keysyms };
}

/** The input of one call. It remembers what the call pressed, to release that when the call fails. */
export class CallInput {
  readonly #gate: InputGate;
  readonly #control: AgentControl;
  #at: { x: number; y: number };
  #mask: number;
  #pressedMask = 0;
  readonly #pressedKeys = new Set<number>();

  constructor(gate: InputGate, control: AgentControl, at: { x: number; y: number }) {
    this.#gate = gate;
    this.#control = control;
    this.#at = at;
    this.#mask = gate.pressed.mask;
  }

  /** @throws ApiError `control_held` or `unavailable` when the input did not reach the desktop */
  async step(step: InputStep): Promise<void> {
    switch (step.do) {
      case 'move':
        this.#at = { x: step.x, y: step.y };
        return this.#point(this.#mask);
      case 'press':
        this.#pressedMask |= BUTTON_MASK[step.button];
        return this.#point(this.#mask | BUTTON_MASK[step.button]);
      case 'release':
        this.#pressedMask &= ~BUTTON_MASK[step.button];
        return this.#point(this.#mask & ~BUTTON_MASK[step.button]);
      case 'notch':
        await this.#point(this.#mask | NOTCH_MASK[step.direction]);
        return this.#point(this.#mask & ~NOTCH_MASK[step.direction]);
      case 'key':
        return this.key(step.keysym, step.down);
    }
  }

  async key(keysym: number, down: boolean): Promise<void> {
    if (down) this.#pressedKeys.add(keysym);
    else this.#pressedKeys.delete(keysym);
    await this.#send({ t: 'key', keysym, down });
  }

  /** Releases what the call has pressed. Never rejects. */
  async release(): Promise<void> {
    // After control was lost, the gate has released everything.
    const ignored = () => undefined;
    for (const keysym of [...this.#pressedKeys].reverse()) await this.key(keysym, false).catch(ignored);
    if ((this.#mask & this.#pressedMask) === 0) return;
    await this.#point(this.#mask & ~this.#pressedMask).catch(ignored);
  }

  async #point(mask: number): Promise<void> {
    this.#mask = mask;
    await this.#send({ t: 'ptr', ...this.#at, mask });
  }

  #send(input: ScreenInput): Promise<void> {
    const { name: viewerId, lease } = this.#control;
    return new Promise((resolve, reject) => {
      this.#gate.take({
        viewerId,
        lease,
        input,
        settled: (reason) => {
          if (reason === undefined) resolve();
          else if (reason === 'not_holder') reject(controlHeld());
          else reject(new ApiError('unavailable', 'The desktop takes no input now. Look at it, then retry.'));
        },
      });
    });
  }
}
