import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { waitForGreeting } from '../../../../workers/containers/rfb.ts';
import { createOptions, parseSpec, RFB_DIRECTORY, RFB_SOCKET } from '../../../../workers/containers/spec.ts';

const run = promisify(execFile);

export type Engine = { docker: Docker; socket: string; image: string };

/** A desktop that is started without the platform. `remove` leaves nothing of it. */
export type ByHand = { ms: number; remove: () => Promise<void> };

let made = 0;

/** @returns the options with which a worker creates a desktop */
function optionsOf({ image }: Engine): Docker.ContainerCreateOptions {
  made += 1;
  const id = `${process.pid}-${made}`;
  const place = { fleet: `bench-${process.pid}`, host: 'hand', containerId: id, instanceId: id, fence: 1 };
  const uid = 1_900_060_000 + made;
  const identity = { uid, gid: process.getgid?.() ?? 0, seccomp: true, supervised: true };
  return createOptions(parseSpec(JSON.stringify({ image })), place, identity, undefined);
}

/** Starts a desktop by the engine's API. @returns the time until its first RFB byte, ms */
export async function startByEngine(engine: Engine): Promise<ByHand> {
  const options = optionsOf(engine);
  const begun = performance.now();
  const container = await engine.docker.createContainer(options);
  await container.start();
  return greeted(engine, options.name ?? '', begun);
}

/**
 * Starts the same desktop by `docker run`.
 * @returns `undefined` when the command is not installed
 */
export async function startByCommand(engine: Engine): Promise<ByHand | undefined> {
  const { name = '', HostConfig = {} } = optionsOf(engine);
  const mount = HostConfig.Mounts?.find(({ Target }) => Target === RFB_DIRECTORY);
  const { type, device, o } = (mount?.VolumeOptions?.DriverConfig?.Options ?? {}) as Record<string, string>;
  const volume = `type=volume,src=${name},dst=${RFB_DIRECTORY},volume-nocopy,volume-driver=local`;
  const tmpfs = Object.entries(HostConfig.Tmpfs ?? {}).flatMap(([path, o]) => ['--tmpfs', `${path}:${o}`]);
  const begun = performance.now();
  try {
    await run('docker', [
      ...['--host', `unix://${engine.socket}`, 'run', '--detach', '--name', name, '--network', 'none'],
      ...['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--log-driver', 'none'],
      ...['SETUID', 'SETGID', 'SETPCAP', 'KILL'].flatMap((capability) => ['--cap-add', capability]),
      ...['--memory', '512m', '--memory-swap', '512m', '--cpus', '1', ...tmpfs],
      ...['--mount', `${volume},volume-opt=type=${type},volume-opt=device=${device},"volume-opt=o=${o}"`],
      ...['--workdir', '/', engine.image, `${1_900_060_000 + made}`],
    ]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return greeted(engine, name, begun);
}

/** Waits for the first RFB byte as a worker does. */
async function greeted({ docker }: Engine, name: string, begun: number): Promise<ByHand> {
  const container = docker.getContainer(name);
  const { Mounts } = await container.inspect();
  const folder = Mounts.find(({ Destination }) => Destination === RFB_DIRECTORY)?.Source ?? '';
  const path = join(folder, RFB_SOCKET);
  const { signal } = new AbortController();
  await waitForGreeting(path, { withinMs: 30_000, signal, alive: async () => true });
  const ms = performance.now() - begun;
  return {
    ms,
    remove: async () => {
      await container.remove({ force: true, v: true });
      await docker.getVolume(name).remove({ force: true });
    },
  };
}
