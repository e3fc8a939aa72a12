import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endOfText } from './end-of-text.ts';

test('the end of a text is a suffix of complete characters that fits, and no longer one does', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 });
  fc.assert(
    fc.property(text, fc.integer({ min: 0, max: 80 }), (written, bytes) => {
      const end = endOfText(written, bytes);
      expect(written.endsWith(end)).toBe(true);
      expect(end.isWellFormed()).toBe(true);
      expect(Buffer.byteLength(end)).toBeLessThanOrEqual(bytes);
      const before = [...written].at(-[...end].length - 1);
      if (before) expect(Buffer.byteLength(before + end)).toBeGreaterThan(bytes);
    }),
    { seed: 17 },
  );
});
