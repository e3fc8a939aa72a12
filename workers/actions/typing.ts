import { setTimeout as sleep } from 'node:timers/promises';
import { typingMs } from '@warmwind/shared/contract/actions/pacing';
import type { CallInput } from './input.ts';

const KEYSYM = { '\n': 0xff0d, '\r': 0xff0d, '\t': 0xff09 } as const;
/** Keysyms of characters beyond Latin-1. */
const UNICODE = 0x100_0000;

/**
 * Types a text, character by character.
 * @param onTyped called after each character
 * @throws ApiError when the desktop takes no input, or the reason of `signal`
 */
export async function typeText(
  text: string,
  input: CallInput,
  signal: AbortSignal,
  onTyped: () => void,
): Promise<void> {
  const begunAt = performance.now();
  let dueMs = 0;
  for (const char of text.replaceAll('\r\n', '\n')) {
    const keysym = keysymOf(char);
    await input.key(keysym, true);
    await input.key(keysym, false);
    onTyped();
    dueMs += typingMs(char);
    const restMs = begunAt + dueMs - performance.now();
    if (restMs >= 1) await sleep(restMs, undefined, { signal });
    else signal.throwIfAborted();
  }
}

function keysymOf(char: string): number {
  const known = KEYSYM[char as keyof typeof KEYSYM];
  if (known !== undefined) return known;
  const point = char.codePointAt(0) ?? 0;
  return point < 0x100 ? point : UNICODE + point;
}
