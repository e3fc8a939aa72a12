import { isShift } from '@warmwind/shared/contract/actions/chord';
import { KEYSYM } from '@warmwind/shared/contract/actions/keys';
import { isOnLayout } from '@warmwind/shared/contract/screen';
import { keyEvent } from './messages.ts';

/** X11's `VoidSymbol`: a key that does nothing. */
const VOID_SYMBOL = 0xff_ffff;
/** After a pause of this length another keyboard may have been used, ms. */
const PAUSE_MS = 1000;
/** Letters that were typed last and still have their keys: fewer than the keymap has keys for letters. */
const KNOWN = 40;

const isCapital = (keysym: number): boolean => keysym >= 0x41 && keysym <= 0x5a;

/**
 * Types on the one keyboard that Xvnc makes for its clients. For a letter beyond the layout Xvnc adds a key
 * to the current keymap, or gives it the key of the letter that was added first. At the first press on
 * another keyboard, or on any after the start, Xvnc replaces that keymap, and the letter would be lost; and
 * Chromium reads a changed keymap at the key before the letter. A key that does nothing is therefore pressed
 * before each new letter.
 *
 * Xvnc takes a capital of ASCII without Shift for Caps Lock, presses that, and writes new letters as
 * capitals. Shift is therefore pressed with one.
 */
export class Keyboard {
  #typedAt = Number.NEGATIVE_INFINITY;
  /** The keysyms beyond the layout that were typed last, oldest first. */
  readonly #known = new Set<number>();
  /** The keysyms of Shift that are held down. */
  readonly #shifts = new Set<number>();

  /** @returns the bytes of the key event, after those that must precede it */
  events(keysym: number, down: boolean): Buffer {
    const now = performance.now();
    const paused = now - this.#typedAt > PAUSE_MS;
    this.#typedAt = now;
    const event = keyEvent(keysym, down);
    if (isShift(keysym)) this.#shifts[down ? 'add' : 'delete'](keysym);
    if (down && isCapital(keysym) && this.#shifts.size === 0)
      return Buffer.concat([keyEvent(KEYSYM.Shift_L, true), event, keyEvent(KEYSYM.Shift_L, false)]);
    if (!down || isOnLayout(keysym)) return event;
    if (this.#known.has(keysym) && !paused) return event;
    this.#remember(keysym);
    return Buffer.concat([keyEvent(VOID_SYMBOL, true), keyEvent(VOID_SYMBOL, false), event]);
  }

  #remember(keysym: number): void {
    this.#known.add(keysym);
    const [oldest] = this.#known;
    if (this.#known.size > KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }
}
