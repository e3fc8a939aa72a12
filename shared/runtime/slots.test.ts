import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Slots } from './slots.ts';

/** Lets users take as many slots as they get, one after the other. */
const saturated = (size: number, users: number): { slots: Slots; held: number[] } => {
  const slots = new Slots(size);
  const held = Array.from({ length: users }, (_, user) => {
    let count = 0;
    while (slots.take(`u${user}`)) count += 1;
    return count;
  });
  return { slots, held };
};

test('a single user gets half of the slots, and the next one starts at once', () => {
  for (let size = 2; size <= 64; size += 1) {
    const { slots, held } = saturated(size, 1);
    expect(held).toEqual([Math.ceil(size / 2)]);
    expect(slots.take('newcomer')).toBeDefined();
  }
});

test('each further user gets about half of the remaining slots', () => {
  expect(saturated(8, 4).held).toEqual([4, 2, 1, 1]);
});

test('a user without a slot is admitted while one is free, others only within their share', () => {
  const steps = fc.array(fc.record({ user: fc.integer({ min: 0, max: 3 }), take: fc.boolean() }));
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 9 }), steps, (size, all) => {
      const slots = new Slots(size);
      const held = new Map<number, (() => void)[]>();
      for (const { user, take } of all) {
        const own = held.get(user) ?? [];
        const taken = [...held.values()].flat().length;
        held.set(user, own);
        if (!take) own.pop()?.();
        else if (taken < size) {
          const release = slots.take(`${user}`);
          expect(release !== undefined).toBe(own.length === 0 || own.length < size - taken);
          if (release) own.push(release);
        }
      }
    }),
  );
});
