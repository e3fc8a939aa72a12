import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { releaseEngine } from '../../local/engine/engine.ts';

/**
 * Prepares a test run. The returned teardown removes the folder below which helpers put their files, and
 * stops the Docker Engine if a test has started it.
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
