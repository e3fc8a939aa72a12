import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** The identity of a process: its pid, and when it was born (boot id and clock ticks since boot). */
export type ProcessId = { pid: number; born: string };

/** The state of a listening socket in `/proc/net/tcp`. */
const LISTEN = '0A';

type Stat = { state: string; parent: number; group: number; session: number; startTicks: string };

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name is in parentheses and may hold any character; the fields after it are plain.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return {
      state: fields[0] ?? '',
      parent: Number(fields[1]),
      group: Number(fields[2]),
      session: Number(fields[3]),
      startTicks: fields[19] ?? '',
    };
  } catch {
    return undefined;
  }
}

/** When the process of this pid was born; `undefined` when there is none, or only its zombie. */
export function born(pid: number): string | undefined {
  const stat = readStat(pid);
  if (!stat || stat.state === 'Z') return undefined;
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${stat.startTicks}`;
}

/** The process that started this one; `undefined` when there is none of this pid, or only its zombie. */
export function parentOf(pid: number): number | undefined {
  const stat = readStat(pid);
  return stat && stat.state !== 'Z' ? stat.parent : undefined;
}

/** The living members of a process group. */
function members(group: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const stat = readStat(pid);
      return stat !== undefined && stat.group === group && stat.state !== 'Z';
    });
}

/** Does a process of this group listen on 127.0.0.1:`port`? */
export function listensOn(group: number, port: number): boolean {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local === address && state === LISTEN)
    .map((fields) => `socket:[${fields[9]}]`);
  return (
    inodes.length > 0 && members(group).some((pid) => openFiles(pid).some((file) => inodes.includes(file)))
  );
}

/** The targets of a process's descriptors; none when it has ended. */
function openFiles(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  try {
    return readdirSync(dir).flatMap((fd) => {
      try {
        return readlinkSync(`${dir}/${fd}`);
      } catch {
        // It was closed meanwhile.
        return [];
      }
    });
  } catch {
    return [];
  }
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // The group is empty.
  }
}

/** SIGKILLs the rest of a process group and waits until it is gone (at most 2 s). */
export async function killGroup(group: number): Promise<void> {
  signalGroup(group, 'SIGKILL');
  await untilGone([group], 2000);
}

async function untilGone(groups: number[], withinMs: number): Promise<number[]> {
  const deadline = Date.now() + withinMs;
  let left = groups.filter((group) => members(group).length > 0);
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(20);
    left = left.filter((group) => members(group).length > 0);
  }
  return left;
}

/**
 * Ends the processes of an earlier stack: SIGTERM, and after `withinMs` SIGKILL. A part led its own process
 * group; the group is ours when its leader is still the recorded process, or when the leader is gone and the
 * rest of its session works below `dir`. A reused pid is never touched.
 * @returns the number of ended groups
 */
export async function endLeftovers(recorded: ProcessId[], dir: string, withinMs = 5000): Promise<number> {
  const ours = recorded.filter((id) => isOurs(id, dir)).map(({ pid }) => pid);
  for (const group of ours) signalGroup(group, 'SIGTERM');
  for (const group of await untilGone(ours, withinMs)) await killGroup(group);
  return ours.length;
}

function isOurs({ pid, born: recordedBirth }: ProcessId, dir: string): boolean {
  const birth = born(pid);
  if (birth !== undefined) return birth === recordedBirth && readStat(pid)?.group === pid;
  const left = members(pid);
  return (
    left.length > 0 && left.every((member) => readStat(member)?.session === pid && worksBelow(member, dir))
  );
}

function worksBelow(pid: number, dir: string): boolean {
  try {
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    return cwd === dir || cwd.startsWith(`${dir}/`);
  } catch {
    return false;
  }
}
