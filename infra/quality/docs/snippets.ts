import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './reference.ts';

/** A block of a guide that a test runs, with its first line. */
export type Snippet = { guide: string; line: number; language: 'sh' | 'ts'; code: string };

/** @returns the blocks of a guide that are marked: ```` ```sh run ```` */
export function snippetsOf(guide: string): Snippet[] {
  const text = readFileSync(join(ROOT, 'docs/guides', guide), 'utf8');
  return Array.from(
    text.matchAll(/^```(sh|ts) run\n(.*?)^```$/gms),
    ({ 1: language, 2: code = '', index }) => ({
      guide,
      line: text.slice(0, index).split('\n').length,
      language: language as Snippet['language'],
      code,
    }),
  );
}
