import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessId } from '../stack/processes.ts';
import { findTool, installCommand } from '../stack/tools.ts';
import { type DaemonPaths, startDaemon } from './daemon.ts';
import { Holders, running } from './holders.ts';
import { withLock } from './lock.ts';
import { ping } from './ping.ts';

/** Docker's own defaults, so that a plain `docker ps` works and images stay. */
const MACHINE: DaemonPaths = {
  socket: '/var/run/docker.sock',
  stateDir: '/run/warmwind-engine',
  dataRoot: '/var/lib/docker',
  execRoot: '/var/run/docker',
  args: [],
};
const FOREIGN_PIDFILE = '/var/run/docker.pid';
const FOREIGN_WITHIN_MS = 30_000;
/** Longer than a start with all its fallbacks takes. */
const LOCK_WITHIN_MS = 240_000;

export type Engine = {
  /** The unix socket on which it answers. */
  socket: string;
  /** Its process, when it was started here and not by the machine. */
  process?: ProcessId;
  /** Releases the engine; the last user of an engine that was started here stops it. */
  stop: () => Promise<void>;
};

type Options = {
  socket?: string;
  /** The log file of a dockerd that is started here. */
  logPath?: string;
  onProgress?: (line: string) => void;
  /** The process that uses the engine: for as long as it lives, the engine is in use. */
  holder?: number;
  /** Paths of a dockerd that is started when none answers. */
  place?: DaemonPaths;
};

/**
 * Returns a Docker Engine that answers on `socket` (`DOCKER_HOST`, else the usual one): the machine's own, or
 * a dockerd that is started for it. Callers at the same time get the same one.
 * @throws Error whose message is the remedy
 */
export function ensureEngine(options: Options = {}): Promise<Engine> {
  const { holder = process.pid, place = MACHINE, socket = place.socket } = { ...environment(), ...options };
  const holders = new Holders(place);
  return withLock(lockName(place), LOCK_WITHIN_MS, async () => {
    await findOrStart(socket, place, holders, options);
    const started = await holders.dockerd();
    if (started) await holders.add(holder);
    return { socket, ...(started ? { process: started } : {}), stop: () => releaseEngine(holder, place) };
  });
}

/** `stop` without an {@link Engine} object. Nothing happens when `holder` uses none that was started here. */
export async function releaseEngine(holder: number, place = MACHINE): Promise<void> {
  const holders = new Holders(place);
  if (!(await holders.has(holder))) return;
  await withLock(lockName(place), LOCK_WITHIN_MS, async () => {
    if ((await holders.remove(holder)) === 0) await holders.stopDockerd();
  });
}

const lockName = (place: DaemonPaths): string => `engine:${place.stateDir}`;

async function findOrStart(
  socket: string,
  place: DaemonPaths,
  holders: Holders,
  { logPath = '/var/log/warmwind-dockerd.log', onProgress }: Options,
): Promise<void> {
  const answer = await ping(socket);
  if (answer === 'ok') return;
  if (answer === 'denied') {
    throw new Error(
      `this user may not use the Docker Engine at ${socket}: run as root, or \`sudo usermod -aG docker $USER\` and log in again`,
    );
  }
  if (socket !== place.socket) {
    throw new Error(
      `no Docker Engine answers at ${socket}: start it, or unset DOCKER_HOST and DOCKER_SOCKET`,
    );
  }
  if ((await running(FOREIGN_PIDFILE, 'dockerd')) && (await answersWithin(socket, FOREIGN_WITHIN_MS))) return;
  const dockerd = findTool('dockerd');
  if (!dockerd) throw new Error(`dockerd is missing: \`${installCommand('docker.io')}\``);
  if (process.getuid?.() !== 0) {
    throw new Error('no Docker Engine runs: `sudo systemctl start docker`, or run this as root');
  }
  // A hanging dockerd that was started here holds the data folder: stop it first.
  await holders.stopDockerd();
  onProgress?.('starting dockerd');
  await startDaemon({ place, dockerd, pidfile: holders.pidfile, logPath, onProgress });
}

/** `DOCKER_HOST`, as Docker's own client reads it. */
function environment(): { socket?: string } {
  const host = process.env.DOCKER_HOST;
  if (!host) return {};
  if (host.startsWith('unix:///')) return { socket: host.slice('unix://'.length) };
  throw new Error(
    'DOCKER_HOST is no unix socket, and desktops are reached through files of the machine they run on: unset it, or set unix:///path',
  );
}

async function answersWithin(socket: string, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (Date.now() < deadline) {
    if ((await ping(socket)) === 'ok') return true;
    await sleep(200);
  }
  return false;
}
