import type { ScreenInput } from '../contract/screen.ts';

/** The keys and buttons that a viewer holds down. */
export class Pressed {
  readonly #keys = new Set<number>();
  #pointer: Extract<ScreenInput, { t: 'ptr' }> | undefined;

  /** Tracks an input. Call it with every input that is sent. */
  note(input: ScreenInput): void {
    if (input.t === 'ptr') this.#pointer = input;
    else if (input.t === 'key' && input.down) this.#keys.add(input.keysym);
    else if (input.t === 'key') this.#keys.delete(input.keysym);
  }

  /** The inputs that release all keys. */
  get keysUp(): ScreenInput[] {
    return [...this.#keys].map((keysym) => ({ t: 'key', keysym, down: false }));
  }

  /** The inputs that release all keys and buttons. */
  get allUp(): ScreenInput[] {
    return this.#pointer?.mask ? [...this.keysUp, { ...this.#pointer, mask: 0 }] : this.keysUp;
  }
}
