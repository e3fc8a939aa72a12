import fc from 'fast-check';
import { expect, it } from 'vitest';
import { StopWords } from './stop.ts';

/** The shown parts of a text that arrives in these pieces. */
function shown(pieces: string[], words: string[]): string {
  const stop = new StopWords(words);
  const text = pieces.map((piece) => stop.push(piece)).join('');
  return text + stop.rest();
}

it('a text ends before the first stop word, however it is split into pieces', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 4 });
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.array(word, { maxLength: 3 }), (pieces, words) => {
      const text = pieces.join('');
      // The first complete stop word ends the text.
      const ends = words.flatMap((w) => (text.includes(w) ? [text.indexOf(w) + w.length] : []));
      const truncated = ends.length === 0 ? undefined : shown(pieces, words);
      if (truncated === undefined) expect(shown(pieces, words)).toBe(text);
      else {
        expect(text.startsWith(truncated)).toBe(true);
        for (const w of words) expect(truncated).not.toContain(w);
        expect(words.some((w) => text.startsWith(truncated + w))).toBe(true);
      }
    }),
  );
});

it('text that can not begin a stop word is shown at once', () => {
  const stop = new StopWords(['END']);
  expect(stop.push('the E')).toBe('the ');
  expect(stop.push('dge of')).toBe('Edge of');
  expect(stop.push(' the EN')).toBe(' the ');
  expect(stop.push('D, no more')).toBe('');
  expect(stop.stopped).toBe(true);
  expect(stop.rest()).toBe('');
});
