/** Up to this length `replaceAll` takes a bounded time for each character of the text. */
const SHORT = 128;

/**
 * Replaces every occurrence of a value in a text. `replaceAll` may compare a long value again at each character of
 * a hostile text; this compares no character twice (Knuth, Morris, Pratt).
 */
export function replaceAllLinear(text: string, value: string, replacement: string): string {
  if (value.length <= SHORT) return text.replaceAll(value, replacement);
  const first = text.indexOf(value.slice(0, SHORT));
  if (first === -1) return text;
  const [codes, wanted] = [codesOf(text), codesOf(value)];
  const borders = bordersOf(wanted);
  const parts: string[] = [];
  let [from, matched] = [0, 0];
  for (let at = first; at < codes.length; at++) {
    matched = extend(wanted, borders, matched, codes[at] as number);
    if (matched < wanted.length) continue;
    parts.push(text.slice(from, at + 1 - wanted.length), replacement);
    [from, matched] = [at + 1, 0];
  }
  return parts.join('') + text.slice(from);
}

function codesOf(text: string): Uint16Array {
  const codes = new Uint16Array(text.length);
  for (let at = 0; at < codes.length; at++) codes[at] = text.charCodeAt(at);
  return codes;
}

/** For each length of a beginning of the value, how long the longest shorter beginning is with which that ends. */
function bordersOf(wanted: Uint16Array): Int32Array {
  const borders = new Int32Array(wanted.length + 1);
  for (let length = 2; length <= wanted.length; length++) {
    const before = borders[length - 1] as number;
    borders[length] = extend(wanted, borders, before, wanted[length - 1] as number);
  }
  return borders;
}

/** @returns how much of the value's beginning the text ends with after one more character */
function extend(wanted: Uint16Array, borders: Int32Array, matched: number, code: number): number {
  let length = matched;
  while (length > 0 && wanted[length] !== code) length = borders[length] as number;
  return wanted[length] === code ? length + 1 : 0;
}
