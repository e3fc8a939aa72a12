import { charactersOf } from '@warmwind/shared/contract/actions/typed-text';
import { typeText } from './typing.ts';

/** Most characters that wait; a text that would exceed them is refused. */
const MAX_WAITING_CHARS = 20_000;

type Waiting = { stop: AbortController; onLost: (count: number) => void; left: number };

/** The texts that are typed on one desktop, in order. Each character is typed, or reported as lost. */
export class TextQueue {
  readonly #key: (keysym: number, down: boolean) => boolean;
  readonly #waiting = new Set<Waiting>();

  /** @param key presses or releases a key; returns false when the desktop does not accept it */
  constructor(key: (keysym: number, down: boolean) => boolean) {
    this.#key = key;
  }

  /**
   * Adds a text.
   * @param onLost called with the number of its characters that were not typed, if there are any
   * @param start takes the function that types it, and returns false when that has no turn
   * @returns false when the text is refused
   */
  add(text: string, onLost: (count: number) => void, start: (type: () => Promise<void>) => boolean): boolean {
    const left = charactersOf(text).length;
    const waiting = [...this.#waiting].reduce((total, each) => total + each.left, 0);
    if (waiting + left > MAX_WAITING_CHARS) return false;
    const added = { stop: new AbortController(), onLost, left };
    this.#waiting.add(added);
    const starts = start(() => this.#type(text, added));
    if (!starts) this.#waiting.delete(added);
    return starts;
  }

  /** Ends the typing of all texts. */
  stop(): void {
    for (const each of [...this.#waiting]) this.#end(each);
  }

  async #type(text: string, waiting: Waiting): Promise<void> {
    await typeText(text, {
      key: this.#key,
      signal: waiting.stop.signal,
      onTyped: () => {
        waiting.left -= 1;
      },
    });
    this.#end(waiting);
  }

  /** Reports a text's lost characters once. */
  #end(waiting: Waiting): void {
    if (!this.#waiting.delete(waiting)) return;
    waiting.stop.abort();
    if (waiting.left > 0) waiting.onLost(waiting.left);
  }
}
