import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const FOLDERS = ['shared', 'edge', 'workers', 'relay', 'infra'];

/** The project's own sources, by their path. */
const sources = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .filter((path) => /\.tsx?$/.test(path) && !/node_modules|\.sst|\/dist\//.test(path)),
).map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
const product = sources.filter(({ path }) => !/\.(test|slow)\.tsx?$/.test(path));

/** Where a pattern is found, as `path: text`. */
const found = (files: typeof sources, pattern: RegExp): string[] =>
  files.flatMap(({ path, text }) => (text.match(pattern) ?? []).map((match) => `${path}: ${match}`));

test('names of Redis keys are spelled in shared/engine/keys.ts alone', () => {
  const spelled = found(product, /['"`]ww:[^'"`]*/g);
  expect(spelled.filter((place) => !place.startsWith('shared/engine/keys.ts: '))).toEqual([]);
  expect(spelled.length).toBeGreaterThan(3);
});

test('scripts receive the prefixes of keys, and neither cut them from other keys nor spell them', () => {
  const scripts = product.filter(({ text }) => text.includes('/* lua */'));
  expect(scripts.length).toBeGreaterThan(10);
  expect(found(scripts, /string\.(match|sub|gsub)\(KEYS.*/g)).toEqual([]);
  const kinds = readFileSync(join(ROOT, 'shared/engine/keys.ts'), 'utf8').matchAll(/`([\w-]+):\$\{/g);
  const names = [...new Set([...kinds].map(([, kind]) => kind))];
  expect(names).toEqual(expect.arrayContaining(['job', 'container', 'limit', 'log']));
  expect(found(scripts, new RegExp(`['":](${names.join('|')}):['"].*|:denied['"].*`, 'g'))).toEqual([]);
});

test('no value is taken for another type unchecked', () => {
  const services = product.filter(({ path }) => !path.startsWith('infra/'));
  expect(found(services, /.*\bas unknown as\b.*/g)).toEqual([]);
  const everywhere = sources.filter(({ path }) => !path.startsWith('infra/'));
  expect(found(everywhere, /JSON\.parse\([^)]*\)\)? as\b.*/g)).toEqual([]);
});
