import { expect, test } from 'vitest';
import { usualWarmPool } from './warm-pool.ts';

const GIB = 2 ** 30;

test.each([
  ['one of the default image', {}, 8 * GIB, '{"desktop":1}'],
  ['none where the machine has too little memory', {}, 8 * GIB - 1, '{}'],
  [
    'one of the first image that is offered',
    { DESKTOP_IMAGES: '{"mine":"a:1","b":"b:1"}' },
    8 * GIB,
    '{"mine":1}',
  ],
  ['none of images that the services refuse', { DESKTOP_IMAGES: 'none' }, 8 * GIB, '{}'],
])('the stack keeps %s', (_, env, bytes, pool) => {
  expect(usualWarmPool(env as Record<string, string>, bytes)).toBe(pool);
});
