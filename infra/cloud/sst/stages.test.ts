import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PLATFORM_WITHIN_MS, Tree } from './diff.ts';
import type { Recorded } from './record.ts';
import { RULES } from './rules/all.ts';

let tree: Tree;

beforeAll(async () => {
  tree = await Tree.create();
}, PLATFORM_WITHIN_MS);
afterAll(() => tree?.remove());

describe.each(['dev', 'production'])('the real `sst diff` of %s', (stage) => {
  let deployed: Recorded;
  beforeAll(async () => {
    deployed = await tree.diff(stage);
  });

  it.each(RULES)('$guarantee', ({ violations }) => {
    expect(violations(deployed)).toEqual([]);
  });
});
