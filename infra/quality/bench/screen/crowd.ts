import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Corner } from './marker.ts';
import type { Opening, ViewersMessage, ViewersReport } from './viewers.ts';

/** One of the two paths from a desktop to its viewers. */
export type Side = {
  to: () => Promise<Opening['to']>;
  /** CPU time of its processes so far, ms. */
  cpuMs: () => Promise<Record<string, number>>;
  stop: () => Promise<void>;
};

/** How many viewers read the marker, in a process of their own; the others only count. */
const LOOKING = 5;
const A_PROCESS = 50;
/** How many are opened at once, and how long it may take until all have received an update, ms. */
const AT_ONCE = 10;
const SEE_WITHIN_MS = 90_000;

/** Opens viewers of one side and waits until all have received an update; rejects when some never do. */
export async function gather(side: Side, corner: Corner, count: number) {
  const looking = Math.min(LOOKING, count);
  const processes: ChildProcess[] = [];
  const stop = async () => {
    await Promise.all(processes.map(end));
  };
  const add = async (some: number, where?: Corner) => {
    const child = fork(fileURLToPath(new URL('viewers.ts', import.meta.url)));
    processes.push(child);
    for (let left = some; left > 0; left -= AT_ONCE) {
      const opening = { count: Math.min(AT_ONCE, left), to: await side.to(), corner: where };
      await ask(child, { open: opening });
      await allSee(child);
    }
    return child;
  };
  try {
    // The viewers that read the marker are neither the first nor the last.
    const sizes = split(count - looking);
    const half = Math.ceil(sizes.length / 2);
    for (const size of sizes.slice(0, half)) await add(size);
    const lookers = await add(looking, corner);
    for (const size of sizes.slice(half)) await add(size);
    return {
      looking,
      reset: () => Promise.all(processes.map((child) => ask(child, 'reset'))),
      report: async () => {
        const reports = await Promise.all(processes.map((child) => ask<ViewersReport>(child, 'report')));
        const sum = (of: 'updates' | 'bytes' | 'blind') => reports.reduce((all, one) => all + one[of], 0);
        const { ages } = reports[processes.indexOf(lookers)] ?? { ages: [] };
        return { ages, updates: sum('updates'), bytes: sum('bytes'), blind: sum('blind') };
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function split(count: number): number[] {
  const parts = Math.ceil(count / A_PROCESS);
  return Array.from({ length: parts }, (_, part) => Math.floor((count + part) / parts));
}

async function allSee(child: ChildProcess): Promise<void> {
  const until = performance.now() + SEE_WITHIN_MS;
  for (;;) {
    const { blind } = await ask<ViewersReport>(child, 'report');
    if (blind === 0) return;
    if (performance.now() > until) throw new Error(`${blind} viewers received no update`);
    await sleep(100);
  }
}

/**
 * Sends a message to a process of viewers and waits for its answer; rejects when the process ends instead.
 */
function ask<T>(child: ChildProcess, message: ViewersMessage): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('a process of viewers ended early'));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
    child.send(message);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
