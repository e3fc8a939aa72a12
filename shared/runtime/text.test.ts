import fc from 'fast-check';
import { expect, test } from 'vitest';
import { truncateText } from './text.ts';

test('a text is cut between characters, and by no more than it must be', () => {
  expect(truncateText('ab😀', 3)).toBe('ab');
  expect(truncateText('ab😀', 4)).toBe('ab😀');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(50), (text, most) => {
      const cut = truncateText(text, most);
      expect(text.startsWith(cut)).toBe(true);
      expect(cut.isWellFormed()).toBe(true);
      expect(cut.length).toBeGreaterThanOrEqual(Math.min(text.length, most) - 1);
      expect(cut.length).toBeLessThanOrEqual(most);
    }),
  );
});
