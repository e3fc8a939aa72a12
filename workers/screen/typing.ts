import { setTimeout as sleep } from 'node:timers/promises';
import { characterKeysym } from '@warmwind/shared/contract/actions/keys';
import { paceOf } from '@warmwind/shared/contract/actions/pacing';
import { charactersOf } from '@warmwind/shared/contract/actions/typed-text';

/** Characters are typed at once that take this long, and then there is a pause as long, ms. */
const CHUNK_MS = 8;

/** Options of {@link typeText}. */
export type TypeTextOptions = {
  /** Presses or releases a key; throws, or returns false, when the desktop does not accept it. */
  key: (keysym: number, down: boolean) => unknown;
  /** Ends the typing before the next character. */
  signal: AbortSignal;
  /** Called after each character. */
  onTyped?: () => void;
};

/**
 * Types a text, character by character, as fast as programs take it. A pause that was too long shortens the
 * next one, and no others: letters beyond the layout share few keys, and a program must have read each before
 * its key is given to another letter.
 * @returns the number of characters typed: fewer than the text has after an abort, or when a key was refused
 */
export async function typeText(text: string, { key, signal, onTyped }: TypeTextOptions): Promise<number> {
  const pace = paceOf(text);
  let typed = 0;
  let restMs = 0;
  for (const character of charactersOf(text)) {
    if (signal.aborted) return typed;
    const keysym = characterKeysym(character);
    for (const down of [true, false]) if ((await key(keysym, down)) === false) return typed;
    typed += 1;
    onTyped?.();
    restMs += pace(character);
    if (restMs < CHUNK_MS) continue;
    const begunAt = performance.now();
    await sleep(restMs, undefined, { signal }).catch(() => undefined);
    restMs = Math.max(-CHUNK_MS, restMs - (performance.now() - begunAt));
  }
  return typed;
}
