import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Nothing of a test run outlives it: helpers put their files below one folder, which is removed at the end. */
export function setup(): () => Promise<void> {
  const folder = join(tmpdir(), `warmwind-test-${process.pid}`);
  process.env.WARMWIND_TEST_DIR = folder;
  return () => rm(folder, { recursive: true, force: true });
}
