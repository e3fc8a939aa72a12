import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const WATCH_EVERY_MS = 50;

export type MemoryBound = {
  /** The part of the bound that is used now, 0-1; 0 when it is unknown. */
  taken: () => Promise<number>;
  /** Ends the watch. */
  end: () => void;
};

/**
 * Bounds the memory that a process allocates from now on, by every allocator: WebAssembly does not use the
 * JavaScript heap. The kernel refuses more (RLIMIT_DATA, by util-linux's prlimit). Without prlimit a watch of
 * the resident memory calls `exceeded`. The process may write no files and no core, and is killed first when
 * the machine runs out of memory.
 */
export async function boundMemory(
  pid: number,
  megabytes: number,
  exceeded: () => void,
): Promise<MemoryBound> {
  await writeFile(`/proc/${pid}/oom_score_adj`, '1000').catch(() => undefined);
  const before = await readMemory(pid);
  if (!before) return { taken: async () => 0, end: () => undefined };
  const more = megabytes * 2 ** 20;
  const taken = async () => (((await readMemory(pid))?.data ?? before.data) - before.data) / more;
  const limits = [`--data=${before.data + more}`, '--core=0', '--fsize=0'];
  const bounded = await run('prlimit', ['--pid', `${pid}`, ...limits]).catch(() => undefined);
  if (bounded) return { taken, end: () => undefined };
  const timer = setInterval(async () => {
    const now = await readMemory(pid);
    if (now && now.resident > before.resident + more) exceeded();
  }, WATCH_EVERY_MS);
  timer.unref();
  return { taken, end: () => clearInterval(timer) };
}

/** Reads the memory of a process, bytes, while it exists. RLIMIT_DATA bounds `data`. */
async function readMemory(pid: number): Promise<{ data: number; resident: number } | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  const [data, resident] = [bytes('VmData'), bytes('VmRSS')];
  return data > 0 ? { data, resident } : undefined;
}
