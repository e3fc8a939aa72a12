import { isOnLayout } from '@warmwind/shared/contract/screen';
import { keyEvent } from './messages.ts';

/** X11's `VoidSymbol`: a key that does nothing. */
const VOID_SYMBOL = 0xff_ffff;
/** After a pause of this length another keyboard may have been used, ms. */
const PAUSE_MS = 1000;

/**
 * Types on the one keyboard that Xvnc makes for its clients. For a letter beyond the layout Xvnc adds a key
 * to the current keymap. At the first press on another keyboard, or on any after the start, Xvnc replaces
 * that keymap, and the letter would be lost. A key that does nothing is therefore pressed first.
 */
export class Keyboard {
  #typedAt = Number.NEGATIVE_INFINITY;

  /** @returns the bytes of the key event, after those that must precede it */
  events(keysym: number, down: boolean): Buffer {
    const now = performance.now();
    const paused = now - this.#typedAt > PAUSE_MS;
    this.#typedAt = now;
    const event = keyEvent(keysym, down);
    if (!down || !paused || isOnLayout(keysym)) return event;
    return Buffer.concat([keyEvent(VOID_SYMBOL, true), keyEvent(VOID_SYMBOL, false), event]);
  }
}
