import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { releaseEngine } from '../../local/engine/engine.ts';

/**
 * Nothing of a test run outlives it: helpers put their files below one folder, which is removed at the end, and a Docker
 * Engine that a test has asked for is stopped.
 */
export function setup(): () => Promise<void> {
  const folder = join(tmpdir(), `warmwind-test-${process.pid}`);
  process.env.WARMWIND_TEST_DIR = folder;
  process.env.WARMWIND_TEST_PID = `${process.pid}`;
  return async () => {
    await releaseEngine(process.pid);
    await rm(folder, { recursive: true, force: true });
  };
}
