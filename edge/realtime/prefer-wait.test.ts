import { describe, expect, test } from 'vitest';
import { waitSeconds } from './prefer-wait.ts';

describe('Prefer', () => {
  test.each([
    ['wait=5', 5],
    ['WAIT = 5', 5],
    ['wait="7"', 7],
    ['respond-async, wait=3; strict', 3],
    ['wait=3, wait=9', 3],
    ['wait="1\\0"', 10],
    ['Wait\t=\t4', 4],
    ['a="x, wait=3", wait=8', 8],
    ['a="\\", wait=3";wait=1, wait=" 6 "', 6],
    [' ,, wait=2 ;x="1;2"', 2],
    ['wait=60', 10],
    ['wait=999999999', 10],
  ])('%j is %d seconds', (prefer, seconds) => expect(waitSeconds(prefer)).toBe(seconds));

  test.each([
    undefined,
    '',
    'wait',
    'wait=',
    'wait=0',
    'wait=-1',
    'wait=1.5',
    'wait=1e3',
    'wait="x',
    'waiting=5',
    ',,;=,',
    'return=minimal',
  ])('%j is none', (prefer) => expect(waitSeconds(prefer)).toBeUndefined());
});
