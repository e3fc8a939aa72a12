import { isOnLayout } from '../screen.ts';
import { characterKeysym } from './keys.ts';
import { charactersOf } from './typed-text.ts';

/** How fast actions are carried out, ms. */
export const PACING = {
  /** The pointer rests this long on its target before a button is pressed there. */
  restMs: 0,
  /** A click holds its button this long. */
  pressMs: 20,
  /** Between the clicks of a double or triple click: toolkits take 250 ms and more for one. */
  betweenClicksMs: 50,
  /** Between the press and the first move of a drag, and between its last move and the release. */
  dragRestMs: 80,
  /** Between the moves of a drag. */
  dragMoveMs: 20,
  /** Between the notches of the wheel. */
  notchMs: 20,
  /** A key without a time of its own is held this long. */
  keyMs: 5,
  /** Between two presses of a repeated key. */
  betweenKeysMs: 20,
} as const;

/** Moves of a drag between two points of its path: one for each of so many pixels, within these bounds. */
export const DRAG_MOVES = { everyPixels: 20, least: 2, most: 10 } as const;

/** How long a character on the keyboard's layout takes when it is typed, ms. */
const CHARACTER_MS = 1;
/**
 * How long a letter beyond the US keyboard takes, ms. Letters that the desktop's keymap lacks share 54 keys,
 * and a program must have read a letter before its key is given to another. Toolkits lose letters that follow
 * a change of the keymap faster.
 */
const LETTER_MS = { least: 4, most: 30 } as const;
/** A text with at most this many different letters gives no key of its own letters to another. */
const FEW_LETTERS = 40;
/** A text takes no longer than this where that is possible, ms: one call can type it. */
const WITHIN_MS = 40_000;

const isLetter = (character: string): boolean => !isOnLayout(characterKeysym(character));

/**
 * How fast a text is typed.
 * @returns how long a character takes, ms; it is called with each character in turn
 */
export function paceOf(text: string): (character: string) => number {
  const characters = charactersOf(text);
  const letters = characters.filter(isLetter);
  const isFew = new Set(letters).size <= FEW_LETTERS;
  const othersMs = (characters.length - letters.length) * CHARACTER_MS;
  const fittingMs = Math.floor((WITHIN_MS - othersMs) / Math.max(1, letters.length));
  const letterMs = isFew ? LETTER_MS.most : Math.min(LETTER_MS.most, Math.max(LETTER_MS.least, fittingMs));
  const typed = new Set<string>();
  return (character) => {
    if (!isLetter(character) || (isFew && typed.has(character))) return CHARACTER_MS;
    typed.add(character);
    return letterMs;
  };
}

/** How long a text takes at most when it is typed, ms. */
export function typingMs(text: string): number {
  const pace = paceOf(text);
  return charactersOf(text).reduce((total, character) => total + pace(character), 0);
}
