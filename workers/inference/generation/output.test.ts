import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Output } from './output.ts';

test('the first piece goes out at once; what comes while one is on its way goes out together, in order', async () => {
  const pieces: string[] = [];
  let writing = 0;
  const output = new Output(async (text) => {
    writing += 1;
    expect(writing).toBe(1);
    await sleep(5);
    pieces.push(text);
    writing -= 1;
  });
  const all = Array.from({ length: 500 }, (_, i) => `${i} 👋`);
  for (const piece of all) {
    output.add(piece);
    if (piece.endsWith('00 👋')) await sleep(20);
  }
  await output.end();
  expect(pieces[0]).toBe('0 👋');
  expect(pieces.length).toBeLessThan(50);
  expect(pieces.join('')).toBe(all.join(''));
});

test('what is discarded never goes out, and what was on its way is no longer waited for', async () => {
  const pieces: string[] = [];
  const output = new Output(async (text) => void pieces.push(text));
  output.add('first');
  output.add('second');
  output.discard();
  await output.end();
  expect(pieces).toEqual(['first']);
});
