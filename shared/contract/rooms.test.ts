import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareEventIds, isEventId, parseRoom } from './rooms.ts';

describe('rooms and event ids', () => {
  test('a room is its kind and its id', () => {
    expect(parseRoom('job:abc')).toEqual({ kind: 'job', id: 'abc', room: 'job:abc' });
    expect(parseRoom('user:auth0|a:b')).toEqual({ kind: 'user', id: 'auth0|a:b', room: 'user:auth0|a:b' });
  });

  test.each(['job:', 'job', 'admin:x', '', 7, null, `job:${'x'.repeat(300)}`])('%j is no room', (room) => {
    expect(parseRoom(room)).toBeUndefined();
  });

  test('ids are ordered as their log is', () => {
    const id = fc.tuple(fc.nat(2 ** 31), fc.nat(1000));
    fc.assert(
      fc.property(id, id, (a, b) => {
        const order = Math.sign(compareEventIds(a.join('-'), b.join('-')));
        expect(order).toBe(Math.sign(a[0] - b[0] || a[1] - b[1]));
      }),
    );
  });

  test.each(['', '1', 'a-b', '1-', '-1', '1-2-3', 5, `${'9'.repeat(40)}-0`])('%j is no event id', (id) => {
    expect(isEventId(id)).toBe(false);
  });
});
