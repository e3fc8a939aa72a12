import fc from 'fast-check';
import { expect, test } from 'vitest';
import { truncateText } from './text.ts';

test('a text is truncated between characters, and by no more than necessary', () => {
  expect(truncateText('ab😀', 3)).toBe('ab');
  expect(truncateText('ab😀', 4)).toBe('ab😀');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(50), (text, most) => {
      const truncated = truncateText(text, most);
      expect(text.startsWith(truncated)).toBe(true);
      expect(truncated.isWellFormed()).toBe(true);
      expect(truncated.length).toBeGreaterThanOrEqual(Math.min(text.length, most) - 1);
      expect(truncated.length).toBeLessThanOrEqual(most);
    }),
  );
});
