import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { ping } from '../../local/engine/ping.ts';
import { findTool } from '../../local/stack/tools.ts';
import { waitFor } from './wait.ts';

/** A dockerd with many containers takes its time to start and to stop. */
const START_WITHIN_MS = 90_000;
const STOP_WITHIN_MS = 60_000;
/** How many pieces of its log are kept. */
const MAX_LINES = 5000;

/** A dockerd of a test's own, which may be killed and restarted. It shares no path with the machine's. */
export type OwnEngine = {
  socket: string;
  docker: Docker;
  /** The folder of its images, containers and volumes. */
  dataRoot: string;
  /** Its log. */
  lines: string[];
  /** Loads an image from another engine. */
  load: (from: Docker, image: string) => Promise<void>;
  /** Ends it and starts it again. Its containerd ends with it; the processes of its containers do not. */
  restart: (signal: 'SIGKILL' | 'SIGTERM', awayMs: number) => Promise<void>;
  end: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void>;
  start: () => Promise<void>;
  /** Lists the processes on this machine that run in its containers, by the engine's id of the container. */
  processes: () => Promise<Map<string, number[]>>;
  /** Removes every container and volume, ends the engine and deletes its folders. */
  stop: () => Promise<void>;
};

/**
 * Starts a dockerd without network.
 * @param liveRestore whether containers outlive it
 */
export async function startOwnEngine({ liveRestore }: { liveRestore: boolean }): Promise<OwnEngine> {
  const dockerd = findTool('dockerd');
  if (!dockerd) throw new Error('dockerd is missing');
  // Short: a unix socket's path holds 107 bytes.
  const folder = await mkdtemp(join(tmpdir(), 'ww-own-'));
  const [socket, dataRoot, pidfile] = [join(folder, 's'), join(folder, 'data'), join(folder, 'pid')];
  const cgroup = `/${folder.split('/').at(-1)}`;
  const docker = new Docker({ socketPath: socket });
  const args = [
    ...['--host', `unix://${socket}`, '--pidfile', pidfile, '--log-level', 'warn', '--bridge=none'],
    ...['--data-root', dataRoot, '--exec-root', join(folder, 'exec'), '--cgroup-parent', cgroup],
    ...['--iptables=false', '--ip6tables=false', ...(liveRestore ? ['--live-restore'] : [])],
  ];
  let child: ChildProcess | undefined;
  const lines: string[] = [];

  const start = async () => {
    // A process that nothing has reaped yet would count as running.
    await rm(pidfile, { force: true });
    await rm(join(folder, 'exec/containerd/containerd.pid'), { force: true });
    // The kernel ends it with the process that started it.
    const started = spawn('setpriv', ['--pdeathsig', 'KILL', dockerd, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin` },
    });
    child = started;
    started.stderr.on('data', (data) => {
      lines.push(String(data));
      lines.splice(0, lines.length - MAX_LINES);
    });
    await waitFor(
      'dockerd to answer',
      async () => {
        if (hasEnded(started)) throw new Error(`dockerd ended: ${lines.join('').slice(-1000)}`);
        return (await ping(socket)) === 'ok';
      },
      START_WITHIN_MS,
    );
  };
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    const ending = child;
    if (!ending || hasEnded(ending)) return;
    const gone = once(ending, 'exit');
    ending.kill(signal);
    const timer = setTimeout(() => ending.kill('SIGKILL'), STOP_WITHIN_MS);
    await gone;
    clearTimeout(timer);
  };
  const stop = async () => {
    if (!child || hasEnded(child)) await start();
    for (const { Id } of await docker.listContainers({ all: true }))
      await docker.getContainer(Id).remove({ force: true, v: true });
    if (liveRestore) {
      // Before Docker 24 it counts mounts wrongly after a live-restore, until it is restarted without containers.
      await end('SIGTERM');
      await start();
    }
    const { Volumes } = await docker.listVolumes();
    for (const { Name } of Volumes ?? []) await docker.getVolume(Name).remove();
    await end('SIGTERM');
    // It leaves its data folder mounted on itself.
    await once(spawn('umount', [dataRoot], { stdio: 'ignore' }), 'close');
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    await removeCgroup(cgroup);
  };

  try {
    await start();
  } catch (error) {
    await end('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    socket,
    docker,
    dataRoot,
    lines,
    load: async (from, image) => {
      const stream = await from.getImage(image).get();
      const loaded = await docker.loadImage(stream);
      await once(loaded.resume(), 'end');
      await docker.getImage(image).inspect();
    },
    restart: async (signal, awayMs) => {
      await end(signal);
      await sleep(awayMs);
      await start();
    },
    end,
    start,
    processes: () => processesBelow(cgroup),
    stop,
  };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

/** Finds the machine's processes in the groups of an engine's containers. */
async function processesBelow(cgroup: string): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  await Promise.all(
    pids.map(async (pid) => {
      const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
      const id = groups.split(`:${cgroup}/`)[1]?.slice(0, 64);
      if (id) found.set(id, [...(found.get(id) ?? []), pid]);
    }),
  );
  return found;
}

/** Removes the empty groups that a dockerd leaves: one for each controller, or a single one. */
async function removeCgroup(cgroup: string): Promise<void> {
  const root = '/sys/fs/cgroup';
  for (const folder of ['', ...(await readdir(root))]) {
    await rmdir(join(root, folder, cgroup)).catch(() => undefined);
  }
}
