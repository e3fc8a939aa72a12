import { expect, test } from 'vitest';
import { LabelFilter, labelsOf, NewLabels } from './labels.ts';

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));

test.each([
  [{}],
  [{ team: 'design', 'app.example/part-1': '', n: '✓ ünïcode:with:colons' }],
  [{ constructor: 'x' }],
  [{ ['k'.repeat(63)]: 'v'.repeat(128) }],
  [many(16)],
])('labels %j are taken as they are', (labels) => {
  expect(NewLabels.parse(labels)).toEqual(labels);
});

test.each([
  [{ '': 'v' }],
  [{ '-k': 'v' }],
  [{ 'k:e': 'v' }],
  [{ 'k e': 'v' }],
  [{ ['k'.repeat(64)]: 'v' }],
  [{ k: 'v'.repeat(129) }],
  [{ k: 'a\0b' }],
  [{ k: 'a\nb' }],
  [{ k: '\ud800' }],
  [{ k: 1 }],
  [many(17)],
])('labels %j are refused', (labels) => {
  expect(NewLabels.safeParse(labels).success).toBe(false);
});

test('a filter is split at its first colon', () => {
  expect(labelsOf(['team:design', 'url:a:b', 'empty:', 'team:design'])).toEqual({
    labels: { team: 'design', url: 'a:b', empty: '' },
  });
  expect(labelsOf(['team:design', 'team:ops'])).toMatchObject({ conflict: 'team' });
});

test.each(['team', ':v', '', 'te am:v', `k:${'v'.repeat(129)}`, 'k:\0'])(
  'the filter %j is refused',
  (text) => {
    expect(LabelFilter.safeParse(text).success).toBe(false);
  },
);

test('a name that is that of a prototype sets nothing', () => {
  const labels = NewLabels.parse(JSON.parse('{"__proto__": {"team": "design"}}'));
  expect(Object.keys(labels)).toEqual([]);
  expect(labels.team).toBeUndefined();
});
