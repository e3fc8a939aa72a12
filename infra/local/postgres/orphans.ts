import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { born } from '../stack/processes.ts';

const GONE_WITHIN_MS = 5000;

/**
 * Ends the processes that a killed server has left in `dir`: each leads a session of its own, and while one lives no other
 * server starts there. A server that runs is left alone.
 */
export async function endOrphans(dir: string): Promise<void> {
  const deadline = Date.now() + GONE_WITHIN_MS;
  for (let left = orphans(dir); left.length > 0 && Date.now() < deadline; left = orphans(dir)) {
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended already.
      }
    }
    await sleep(20);
  }
  // A killed server may stay a zombie where no parent reaps it: PostgreSQL would treat it as a living one.
  const server = serverOf(dir);
  if (server > 0 && born(server) === undefined) rmSync(join(dir, 'postmaster.pid'), { force: true });
}

function orphans(dir: string): number[] {
  const working = readdirSync('/proc')
    .filter(
      (name) => /^\d+$/.test(name) && link(name, 'cwd') === dir && link(name, 'exe').endsWith('/postgres'),
    )
    .map(Number);
  return working.includes(serverOf(dir)) ? [] : working;
}

function link(pid: string, name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/${name}`);
  } catch {
    return '';
  }
}

function serverOf(dir: string): number {
  try {
    return Number.parseInt(readFileSync(join(dir, 'postmaster.pid'), 'utf8'), 10);
  } catch {
    return 0;
  }
}
