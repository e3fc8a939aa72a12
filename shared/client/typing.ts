import { typingMs } from '../contract/actions/pacing.ts';
import { charactersOf } from '../contract/actions/typed-text.ts';
import type { ScreenInput } from '../contract/screen.ts';

/** Characters that are sent at once: few, so that a text which loses control ends soon. */
const PIECE_CHARS = 250;

/** A text without what can not be typed: control characters, and halves of surrogate pairs. */
const typeable = (text: string): string => text.replace(/[^\P{Cc}\n\r\t]|\p{Cs}/gu, '');

/** Splits the characters of a text that can be typed into pieces of at most `most`. */
export function pieces(text: string, most: number): string[] {
  const characters = charactersOf(typeable(text));
  return Array.from({ length: Math.ceil(characters.length / most) }, (_, n) =>
    characters.slice(n * most, (n + 1) * most).join(''),
  );
}

/**
 * Sends a text in pieces, as fast as the host types them.
 * @param send sends a piece; returns false when the desktop takes no input
 * @returns the number of characters sent: fewer than the text has when one can not be typed or is not taken
 */
export async function typeInPieces(text: string, send: (input: ScreenInput) => boolean): Promise<number> {
  let sent = 0;
  for (const piece of pieces(text, PIECE_CHARS)) {
    if (!send({ t: 'text', text: piece })) break;
    sent += charactersOf(piece).length;
    await new Promise((resolve) => setTimeout(resolve, typingMs(piece)));
  }
  return sent;
}
