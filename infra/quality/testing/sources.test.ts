import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const FOLDERS = ['shared', 'edge', 'workers', 'relay', 'infra'];

/** The project's own sources with their paths. */
const sources = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .filter((path) => /\.tsx?$/.test(path) && !/node_modules|\.sst|\/dist\//.test(path)),
).map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
const product = sources.filter(({ path }) => !/\.(test|slow)\.tsx?$/.test(path));

/** @returns the matches of a pattern, as `path: text` */
const found = (files: typeof sources, pattern: RegExp): string[] =>
  files.flatMap(({ path, text }) => (text.match(pattern) ?? []).map((match) => `${path}: ${match}`));

test('names of Redis keys are spelled only in shared/engine/keys.ts', () => {
  const spelled = found(product, /['"`]ww:[^'"`]*/g);
  expect(spelled.filter((place) => !place.startsWith('shared/engine/keys.ts: '))).toEqual([]);
  expect(spelled.length).toBeGreaterThan(3);
});

test('scripts receive the prefixes of keys, and neither derive nor spell them', () => {
  const scripts = product.filter(({ text }) => text.includes('/* lua */'));
  expect(scripts.length).toBeGreaterThan(10);
  expect(found(scripts, /string\.(match|sub|gsub)\(KEYS.*/g)).toEqual([]);
  const kinds = readFileSync(join(ROOT, 'shared/engine/keys.ts'), 'utf8').matchAll(/`([\w-]+):\$\{/g);
  const names = [...new Set([...kinds].map(([, kind]) => kind))];
  expect(names).toEqual(expect.arrayContaining(['job', 'container', 'limit', 'log']));
  expect(found(scripts, new RegExp(`['":](${names.join('|')}):['"].*|:denied['"].*`, 'g'))).toEqual([]);
});

test('services cast no value to another type, and no parsed JSON, without a check', () => {
  const services = product.filter(({ path }) => !path.startsWith('infra/'));
  expect(found(services, /.*\bas unknown as\b.*/g)).toEqual([]);
  const everywhere = sources.filter(({ path }) => !path.startsWith('infra/'));
  expect(found(everywhere, /JSON\.parse\([^)]*\)\)? as\b.*/g)).toEqual([]);
});
