import { beforeAll, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine, type TestEngine } from '../testing/docker.ts';
import { checkBench, DESKTOP_BENCHES } from './shortest.ts';

const WITHIN_MS = 240_000;

let engine: TestEngine;
beforeAll(async () => {
  engine = await startEngine();
}, ENGINE_WITHIN_MS);

test.each(Object.entries(DESKTOP_BENCHES))(
  '%s prints its figures and leaves nothing running',
  (name, bench) => checkBench(name, bench, engine),
  WITHIN_MS,
);
