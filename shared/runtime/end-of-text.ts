/**
 * The end of a text, as complete characters.
 * @param bytes most bytes of its UTF-8 form
 */
export function endOfText(text: string, bytes: number): string {
  let from = text.length;
  for (let room = bytes; from > 0; ) {
    // A character beyond U+FFFF has two code units.
    const pair = from > 1 ? (text.codePointAt(from - 2) ?? 0) : 0;
    const units = pair > 0xffff ? 2 : 1;
    room -= units === 2 ? 4 : bytesOf(text.charCodeAt(from - 1));
    if (room < 0) break;
    from -= units;
  }
  return text.slice(from);
}

const bytesOf = (code: number): number => (code < 0x80 ? 1 : code < 0x800 ? 2 : 3);
