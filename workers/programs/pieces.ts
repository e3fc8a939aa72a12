import { isUtf8 } from 'node:buffer';

/** Bytes as an event or a result holds them: text when they are UTF-8. */
export type Content = { text: string } | { base64: string };

export const contentOf = (bytes: Buffer): Content =>
  isUtf8(bytes) ? { text: bytes.toString() } : { base64: bytes.toString('base64') };

/**
 * The bytes of a character that has begun at the end of `bytes`, without all of its bytes.
 * @returns their number, 0-3
 */
export function partialCharacter(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte >= 0x80 && byte < 0xc0) continue;
    return lengthOf(byte) > back ? back : 0;
  }
  return 0;
}

/**
 * The bytes that continue a character at the beginning of `bytes`, of which the first is missing.
 * @returns their number, 0-3
 */
export function continuedCharacter(bytes: Buffer): number {
  let count = 0;
  while (count < 3 && count < bytes.length && ((bytes[count] ?? 0) & 0xc0) === 0x80) count++;
  return count;
}

/** The length of the character that a byte begins; 1 for a byte that begins none. */
function lengthOf(byte: number): number {
  if (byte >= 0xf0 && byte <= 0xf4) return 4;
  if (byte >= 0xe0) return byte < 0xf0 ? 3 : 1;
  return byte >= 0xc2 ? 2 : 1;
}
