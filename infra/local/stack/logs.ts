import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

const MAX_BYTES = 20 * 2 ** 20;
const SWEEP_MS = 10_000;

/** An empty folder for the parts' logs. */
export function openLogs(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { mode: 0o700 });
}

/**
 * Keeps every log below about 20 MB, with as much of its past in a second file (`.1`). The parts write
 * through appending descriptors, so a log can be truncated while they write.
 */
export function boundLogs(dir: string): NodeJS.Timeout {
  const sweep = () => {
    for (const name of readdirSync(dir).filter((file) => file.endsWith('.log'))) {
      const path = join(dir, name);
      if (statSync(path).size <= MAX_BYTES) continue;
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
    }
  };
  return setInterval(() => {
    try {
      sweep();
    } catch {
      // Readiness reports a full disk; the parts continue.
    }
  }, SWEEP_MS).unref();
}

/** The reason why a part has ended: the message of the last fatal line in its log. */
export function lastWords(path: string): string | undefined {
  const line = readFileSync(path, 'utf8')
    .split('\n')
    .findLast((text) => text.includes('"level":"fatal"'));
  try {
    return line && (JSON.parse(line) as { msg: string }).msg;
  } catch {
    return undefined;
  }
}
