import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** The packages that the architecture requires. */
const PACKAGES = [
  'hono',
  '@upstash/ratelimit',
  '@upstash/redis',
  'bullmq',
  'ioredis',
  'socket.io',
  '@socket.io/redis-adapter',
  'dockerode',
  'wrangler',
  'sst',
  'vitest',
  'miniflare',
];
const ROOT = join(import.meta.dirname, '../..');
const WORKSPACES = ['shared', 'edge', 'workers', 'relay', 'infra'];

type Manifest = { dependencies?: Record<string, string>; devDependencies?: Record<string, string> };

const manifests = await Promise.all(
  ['', ...WORKSPACES].map(
    async (folder) => JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest,
  ),
);
const versions = (name: string): string[] =>
  manifests
    .flatMap(({ dependencies, devDependencies }) => [dependencies?.[name], devDependencies?.[name]])
    .filter((version) => version !== undefined);

const own = import.meta.filename;
const files = (
  await Promise.all(
    WORKSPACES.map(async (folder) => {
      const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
        .map(({ parentPath, name }) => join(parentPath, name))
        .filter((path) => path !== own && !path.includes('/node_modules/') && !path.includes('/dist/'));
    }),
  )
).flat();
const sources = await Promise.all(files.map((path) => readFile(path, 'utf8')));

test.each(PACKAGES)('%s is a direct dependency of one exact version, and code imports it', (name) => {
  const wanted = new Set(versions(name));
  expect([...wanted]).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+(-[\w.]+)?$/)]);
  const imported = new RegExp(`(from|import|resolve\\()\\s*\\(?['"]${name}(/[^'"]*)?['"]`);
  expect(sources.some((text) => imported.test(text))).toBe(true);
});
