import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PLATFORM_WITHIN_MS, Tree } from './diff.ts';

let tree: Tree;

beforeAll(async () => {
  tree = await Tree.create();
}, PLATFORM_WITHIN_MS);
afterAll(() => tree?.remove());

/** The compiler's errors for the tree's configuration, against SST's own components. */
const tsc = (): Promise<string> =>
  new Promise((resolve) => {
    const bin = join(tree.root, 'node_modules/.bin/tsc');
    execFile(bin, ['-p', 'infra/cloud/sst'], { cwd: tree.root }, (_, stdout) => resolve(stdout));
  });

it('sst.config.ts and infra/cloud/*.ts keep to the types of SST’s own components', async () => {
  expect(await tsc()).toBe('');
});

it('an option that SST does not know is an error', async () => {
  const file = join(tree.root, 'infra/cloud/dev.ts');
  await writeFile(
    file,
    "export const stack = new sst.x.DevCommand('Stack', { dev: { comand: 'npm start' } });",
  );
  expect(await tsc()).toMatch(/infra\/cloud\/dev\.ts.*'comand' does not exist/);
});
