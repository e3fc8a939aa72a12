import { expect, test } from 'vitest';
import { Evidence } from './evidence.ts';

const DEAD_AFTER_MS = 1000;

/** Beats from `from` to `until` every 200 ms, each of which finds the one before. @returns the last verdict */
function beats(
  evidence: Evidence,
  from: number,
  until: number,
  first: number | undefined = from - 200,
): boolean {
  let verdict = false;
  for (let now = from, before = first; now <= until; before = now, now += 200) {
    verdict = evidence.add({ now, before });
  }
  return verdict;
}

test('overdue beats prove deaths once own beats were found for twice the time of a death', () => {
  const evidence = new Evidence(DEAD_AFTER_MS);
  expect(beats(evidence, 10_000, 11_800, undefined)).toBe(false);
  expect(beats(evidence, 12_000, 12_400)).toBe(true);
});

test.each([
  ['Redis has lost the beat before', { now: 20_200, before: undefined }],
  ['Redis has an older beat only', { now: 20_200, before: 19_800 }],
  ['the beat before is long ago', { now: 21_000, before: 20_000 }],
])('no death is proven after %s, until the time has passed again', (_, beat) => {
  const evidence = new Evidence(DEAD_AFTER_MS);
  expect(beats(evidence, 10_000, 20_000, undefined)).toBe(true);
  expect(evidence.add(beat)).toBe(false);
  expect(beats(evidence, beat.now + 200, beat.now + 1800)).toBe(false);
  expect(beats(evidence, beat.now + 2000, beat.now + 2200)).toBe(true);
});

test('a beat whose answer was lost is evidence as good as any', () => {
  const evidence = new Evidence(DEAD_AFTER_MS);
  beats(evidence, 10_000, 20_000, undefined);
  expect(evidence.add({ now: 20_400, before: 20_200 })).toBe(true);
});

test('a lost connection begins the time again', () => {
  const evidence = new Evidence(DEAD_AFTER_MS);
  beats(evidence, 10_000, 20_000, undefined);
  evidence.reset();
  expect(evidence.add({ now: 20_200, before: 20_000 })).toBe(false);
  expect(beats(evidence, 20_400, 22_200)).toBe(true);
});
