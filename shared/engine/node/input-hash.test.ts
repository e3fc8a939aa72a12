import { expect, test } from 'vitest';
import { hashInput } from './input-hash.ts';

test('the hash of an input is the SHA-256 of its JSON in UTF-8', () => {
  expect(hashInput('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(hashInput('"ü"')).toBe('e4c77d3f26dacb0bcd1ef966781f0988c483f20cb118c5605ccf670c17944c6f');
});
