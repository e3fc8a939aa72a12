import { expect, test } from 'vitest';
import { inWords } from './durations.ts';

test.each([
  [0, '1 second'],
  [120, '1 second'],
  [1001, '2 seconds'],
  [49_334, '50 seconds'],
  [119_000, '119 seconds'],
  [120_000, '2 minutes'],
  [1_900_001, '32 minutes'],
  [7_200_000, '2 hours'],
  [86_400_000, '24 hours'],
])('a wait of %i ms is %s', (ms, words) => {
  expect(inWords(ms)).toBe(words);
});
