import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nameProblem, proseProblems, sourceProblems } from './words.ts';

const ROOT = join(import.meta.dirname, '../..');
const files = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((path) => path && !/words(\.test)?\.ts$/.test(path));
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

test('no file is named by a word that the project has replaced', () => {
  expect(files.filter(nameProblem)).toEqual([]);
});

test('no name in the sources has such a word, and no comment is written in them', () => {
  const problems = files
    .filter((path) => /\.tsx?$/.test(path))
    .flatMap((path) => sourceProblems(path, textOf(path)).map((problem) => `${path}: ${problem}`));
  expect(problems).toEqual([]);
});

test('no document is written in them', () => {
  const problems = files
    .filter((path) => path.endsWith('.md') && !['docs/glossary.md', 'CHANGELOG.md'].includes(path))
    .flatMap((path) =>
      textOf(path)
        .split('\n')
        .flatMap(proseProblems)
        .map((problem) => `${path}: ${problem}`),
    );
  expect(problems).toEqual([]);
});

test('a retired word is found, in a name, a member, a comment and a sentence', () => {
  const code =
    '/** Nobody hears of it. */\nclass Veil { #told = 1; say(news: string) { const { law } = news } }';
  const problems = sourceProblems('a.ts', code).join('\n');
  for (const word of ['Veil', 'told', 'say', 'news', 'law', 'Nobody']) expect(problems).toContain(word);
  expect(sourceProblems('a.ts', 'const within = full(later); // All of it is kept.')).toEqual([]);
  expect(nameProblem('workers/screen/veil.test.ts')).toBe('veil');
});
