import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Output } from './output.ts';

test('the first piece is published at once; text that arrives meanwhile is published together, in order', async () => {
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

test('discarded text is never published', async () => {
  const pieces: string[] = [];
  const output = new Output(async (text) => void pieces.push(text));
  output.add('first');
  output.add('second');
  output.discard();
  await output.end();
  expect(pieces).toEqual(['first']);
});

test('pieces end between characters, even when the text arrives in single code units', async () => {
  const pieces: string[] = [];
  const output = new Output(async (text) => {
    await sleep(1);
    pieces.push(text);
  });
  const text = `xy${'😀'.repeat(40_000)}é👩‍👧`;
  for (const unit of [...text].flatMap((letter) => letter.split(''))) output.add(unit);
  await output.end();
  expect(pieces.join('')).toBe(text);
  expect(pieces.filter((piece) => !piece.isWellFormed())).toEqual([]);
  expect(pieces.length).toBeGreaterThan(2);
});

test('half of a surrogate pair without its other half is replaced', async () => {
  const pieces: string[] = [];
  const output = new Output(async (text) => void pieces.push(text));
  for (const unit of ['a', '\ud83d', 'b', '\ude00', 'c\ud83d']) output.add(unit);
  await output.end();
  expect(pieces.join('')).toBe('a\ufffdb\ufffdc\ufffd');
});
