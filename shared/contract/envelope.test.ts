import { expect, test } from 'vitest';
import { RequestEnvelope, readIncarnation } from './envelope.ts';

const ENVELOPE = {
  callId: 'c1',
  userId: 'auth0|ann',
  containerId: '4f9c2f4e-6f0e-4a34-9d4e-0a1b2c3d4e5f',
  incarnation: 1,
  credential: 'token:t1',
  deadline: 1_800_000_000_000,
  inputHash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
};

test('an envelope is valid with all of its fields and no others', () => {
  expect(RequestEnvelope.parse(ENVELOPE)).toEqual(ENVELOPE);
  for (const name of Object.keys(ENVELOPE)) {
    expect(RequestEnvelope.safeParse({ ...ENVELOPE, [name]: undefined }).success).toBe(false);
  }
  for (const wrong of [
    { more: 1 },
    { callId: 'a b' },
    { userId: 'a{b}' },
    { containerId: '../x' },
    { incarnation: -1 },
    { incarnation: 1.5 },
    { credential: '' },
    { deadline: Number.POSITIVE_INFINITY },
    { inputHash: 'E3' },
  ]) {
    expect(RequestEnvelope.safeParse({ ...ENVELOPE, ...wrong }).success).toBe(false);
  }
});

test('an incarnation is read from If-Match, and any other value is refused', () => {
  expect(readIncarnation('"0"')).toBe(0);
  expect(readIncarnation(' "12" ')).toBe(12);
  for (const other of ['', '12', '*', 'W/"12"', '"1", "2"', '"-1"', '"1.5"', '"9999999999999999"']) {
    expect(readIncarnation(other)).toBeUndefined();
  }
});
