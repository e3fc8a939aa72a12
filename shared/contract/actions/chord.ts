import { KEYSYM, keysymOf, nearNames } from './keys.ts';

/** Keys that are pressed in order and released in reverse. */
export type Chord = number[];

/** A name of a key that is not known, or a text that is not a chord. The message names what to send. */
export class ChordError extends Error {
  override name = 'ChordError';
}

const SHIFT = new Set<number>([KEYSYM.Shift_L, KEYSYM.Shift_R]);
/** Control, Meta, Alt, Super and Hyper: with them a letter names its key, whatever its case. */
const isCommand = (keysym: number): boolean =>
  keysym === KEYSYM.Control_L ||
  keysym === KEYSYM.Control_R ||
  (keysym >= KEYSYM.Meta_L && keysym <= KEYSYM.Hyper_R);

/** The characters of a US keyboard without Shift, and those with it, in the same order. */
const PLAIN = "abcdefghijklmnopqrstuvwxyz`1234567890-=[]\\;',./";
const SHIFTED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ~!@#$%^&*()_+{}|:"<>?';

/** The keysym that a key has while Shift is held: a VNC server would release Shift for the plain one. */
export function withShift(keysym: number): number {
  const at = keysym < 0x7f ? PLAIN.indexOf(String.fromCharCode(keysym)) : -1;
  return at < 0 ? keysym : SHIFTED.charCodeAt(at);
}

/** Is it a Shift key? */
export const isShift = (keysym: number): boolean => SHIFT.has(keysym);

/**
 * Reads a chord: names joined by `+`, or a list of names. `ctrl++` is Control and plus, `+` is plus. In a
 * chord with Control, Alt or Super a letter names its key: `ctrl+C` is `ctrl+c`. With Shift a key has its
 * shifted keysym: `shift+1` is Shift and `!`.
 * @throws ChordError for an unknown name, an empty one, or a key that is named twice
 *
 * @example
 * parseChord('ctrl+shift+t'); // [0xffe3, 0xffe1, 0x54]
 */
export function parseChord(keys: string | readonly string[]): Chord {
  const chord = (typeof keys === 'string' ? split(keys) : keys.flatMap(splitUnlessKnown)).map(known);
  const commands = chord.some(isCommand);
  const shifts = chord.some(isShift);
  const pressed = chord.map((keysym) => {
    const plain = commands && keysym >= 0x41 && keysym <= 0x5a ? keysym + 0x20 : keysym;
    return shifts ? withShift(plain) : plain;
  });
  if (new Set(pressed).size < pressed.length)
    throw new ChordError(`${JSON.stringify(keys)} names a key twice: name each key once`);
  return pressed;
}

const splitUnlessKnown = (name: string): string[] => (keysymOf(name) === undefined ? split(name) : [name]);

/** Splits at each `+` that joins names. The last one is a key when the one before it joins. */
function split(text: string): string[] {
  if ([...text].length === 1) return [text];
  const parts = text.split('+').map((part) => part.trim() || part.slice(0, 1));
  if (parts.length > 1 && parts.at(-1) === '' && parts.at(-2)?.trim() === '') parts.splice(-2, 2, '+');
  return parts;
}

function known(name: string): number {
  if (name === '') throw new ChordError('A name of a key is empty: write "ctrl+c", or "ctrl++" for plus');
  const keysym = keysymOf(name);
  if (keysym !== undefined) return keysym;
  const near = nearNames(name);
  const hint =
    near.length > 0 ? `Did you mean ${near.join(', ')}?` : 'Use names such as Return, ctrl, F5 or a.';
  throw new ChordError(`${JSON.stringify(name)} is not the name of a key. ${hint}`);
}
