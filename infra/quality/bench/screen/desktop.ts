import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { UIDS } from '../../../../workers/containers/reservations.ts';
import { createOptions, LABELS } from '../../../../workers/containers/spec.ts';
import { readPicture } from '../../../../workers/screen/picture.ts';
import { ScreenTurns } from '../../../../workers/screen/turns.ts';
import { asDesktop, startEngine } from '../../testing/docker.ts';
import { waitFor } from '../../testing/wait.ts';
import { type Corner, findMarker, MARKER_PROGRAM } from './marker.ts';

/** The background of the desktop's own terminal. */
const TERMINAL = 0x211a21;

const PROGRAMS = {
  /** 480 × 340 pixels of other colours, 20 times a second. */
  animation: `xterm -geometry 60x20+300+120 -e bash -c '
    for f in 0 1 2 3 4 5 6 7; do s="\\e[H"; for r in {0..19}; do for c in {0..59}; do
      s+="\\e[48;5;$((16 + (r * 7 + c * 3 + f * 11) % 216))m "; done; [ $r -lt 19 ] && s+="\\n"; done; a[f]=$s; done
    while :; do for f in 0 1 2 3 4 5 6 7; do printf "\${a[f]}"; sleep 0.05; done; done'`,
  /** A line of text every 25 ms in a large terminal. */
  text: `xterm -geometry 120x36+200+60 -e bash -c '
    i=0; while :; do echo "$((i++)) the quick brown fox jumps over the lazy dog $RANDOM $RANDOM $RANDOM"; sleep 0.025; done'`,
};
export type Program = keyof typeof PROGRAMS;

export type Desktop = {
  socketPath: string;
  /** The position of the marker. */
  corner: Corner;
  /** CPU time that Xvnc has taken, ms. */
  cpuMs: () => Promise<number>;
  /** Usage of all its processes: CPU time so far, ms, and memory without page cache. */
  usage: () => Promise<{ cpuMs: number; memoryMb: number }>;
  stop: () => Promise<void>;
};

type Options = { memoryMb: number; cpus: number; marked: boolean };
/** Memory for one Tight encoder for each of hundreds of connections. */
const CROWDED: Options = { memoryMb: 2048, cpus: 2, marked: true };

let made = 0;

/** Starts a desktop as a worker does, with an optional marker and an optional program. */
export async function startDesktop(
  program: Program | undefined,
  { marked, ...room }: Options = CROWDED,
): Promise<Desktop> {
  const { docker, image } = await startEngine();
  const id = `${Date.now()}`;
  const instance = { containerId: id, instanceId: id, fence: 1 };
  const place = { fleet: `bench-${process.pid}`, host: 'bench', ...instance };
  const spec = {
    image,
    width: 1280,
    height: 720,
    ...room,
    gpus: 0,
    env: {},
    network: 'none' as const,
  };
  const uid = UIDS.first + made++;
  const identity = { uid, gid: process.getgid?.() ?? 0, seccomp: true, supervised: true };
  const container = await docker.createContainer(
    createOptions({ ...spec, ttlSeconds: 3600 }, place, identity),
  );
  await container.start();
  const { Mounts } = await container.inspect();
  const socketPath = join(Mounts.find(({ Destination }) => Destination === '/run/rfb')?.Source ?? '', 's');
  const stop = () => remove(docker, place.fleet);
  try {
    const look = () => readPicture(socketPath, new ScreenTurns().join('bench')).catch(() => undefined);
    // Wait for its own terminal: programs that are started later are in front of it and drawn.
    const drawn = async () => {
      const picture = await look();
      return picture?.rgb.readUIntBE((400 * picture.width + 400) * 3, 3) === TERMINAL;
    };
    await waitFor('the desktop', drawn, 60_000);
    const xvnc = await pidOf(container, 'Xvnc');
    if (marked) await run(container, MARKER_PROGRAM);
    // Find the marker before the animation starts, which uses the same colour.
    const findCorner = async () => {
      const picture = await look();
      return picture && findMarker(picture);
    };
    const corner = marked ? await waitFor('the marker', findCorner, 60_000) : { x: 0, y: 0 };
    if (program) await run(container, PROGRAMS[program]);
    return { socketPath, corner, cpuMs: () => cpuMs(xvnc), usage: () => usageOf(container), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function run(container: Docker.Container, program: string): Promise<void> {
  const { Env = [], ...options } = await asDesktop(container);
  // Without the image's resources xterm has its own font, whose cells the marker's size is of.
  const plain = { ...options, Env: [...Env, 'XENVIRONMENT=/dev/null'] };
  const exec = await container.exec({ Cmd: ['bash', '-c', program], ...plain });
  await exec.start({ Detach: true });
}

async function usageOf(container: Docker.Container): Promise<{ cpuMs: number; memoryMb: number }> {
  const { cpu_stats, memory_stats } = await container.stats({ stream: false, 'one-shot': true });
  const { inactive_file = 0, total_inactive_file = inactive_file } = memory_stats.stats;
  return {
    cpuMs: cpu_stats.cpu_usage.total_usage / 1e6,
    memoryMb: (memory_stats.usage - total_inactive_file) / 2 ** 20,
  };
}

async function pidOf(container: Docker.Container, name: string): Promise<number> {
  const { Processes, Titles } = (await container.top({ ps_args: '-eo pid,comm' })) as {
    Processes: string[][];
    Titles: string[];
  };
  const found = Processes.find((process) => process[Titles.indexOf('COMMAND')] === name);
  return Number(found?.[Titles.indexOf('PID')]);
}

async function remove(docker: Docker, fleet: string): Promise<void> {
  const filters = { label: [`${LABELS.fleet}=${fleet}`] };
  for (const { Id } of await docker.listContainers({ all: true, filters })) {
    await docker.getContainer(Id).remove({ force: true, v: true });
  }
  for (const { Name } of (await docker.listVolumes({ filters })).Volumes ?? [])
    await docker.getVolume(Name).remove();
}

/** CPU time of a process, and of children that it has waited for, ms. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // After the name, which may contain anything: the state is field 3, utime to cstime are 14 to 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10;
}
