import { beforeAll, expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { ENGINE_WITHIN_MS, startEngine, type TestEngine } from '../testing/docker.ts';
import { checkBench, DESKTOP_BENCHES, SERVICE_BENCHES } from './shortest.ts';

const WITHIN_MS = 240_000;

let engine: TestEngine;
beforeAll(async () => {
  engine = await startEngine();
}, ENGINE_WITHIN_MS);

test('every bench of package.json is started in its shortest form', () => {
  const named = Object.keys(manifest.scripts).filter((name) => /^bench\b/.test(name));
  expect(Object.keys({ ...SERVICE_BENCHES, ...DESKTOP_BENCHES }).sort()).toEqual(named.sort());
});

test.each(Object.entries(SERVICE_BENCHES))(
  '%s prints its figures and leaves nothing running',
  (name, bench) => checkBench(name, bench, engine),
  WITHIN_MS,
);
