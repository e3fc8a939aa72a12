import { isOnLayout } from '@warmwind/shared/contract/screen';
import { keyEvent } from './messages.ts';

/** X11's `VoidSymbol`: a key that does nothing. */
const VOID_SYMBOL = 0xff_ffff;
/** After a pause of this length another keyboard may have been used, ms. */
const PAUSE_MS = 1000;

/**
 * Types on the one keyboard that Xvnc makes for its clients. For a letter beyond the layout Xvnc adds a key to the current
 * keymap, and at the first press of another keyboard (or of any, after the start) it puts that keyboard's keymap in its
 * place: the letter would be lost. A key that does nothing is pressed before.
 */
export class Keyboard {
  #typedAt = Number.NEGATIVE_INFINITY;

  /** @returns the key event, and what has to come before it */
  events(keysym: number, down: boolean): Buffer {
    const now = performance.now();
    const paused = now - this.#typedAt > PAUSE_MS;
    this.#typedAt = now;
    const event = keyEvent(keysym, down);
    if (!down || !paused || isOnLayout(keysym)) return event;
    return Buffer.concat([keyEvent(VOID_SYMBOL, true), keyEvent(VOID_SYMBOL, false), event]);
  }
}
