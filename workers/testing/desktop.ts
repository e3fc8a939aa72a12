import { join } from 'node:path';
import type Docker from 'dockerode';
import { asDesktop, startEngine } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { UIDS } from '../containers/reservations.ts';
import { readGreeting } from '../containers/rfb.ts';
import {
  createOptions,
  RFB_DIRECTORY,
  RFB_SOCKET,
  SUPERVISOR_SOCKET,
  terminalsName,
} from '../containers/spec.ts';
import { Supervisor } from '../supervisor/client.ts';

/** A container as a worker creates it, without a worker. */
export type TestDesktop = {
  container: Docker.Container;
  supervisor: Supervisor;
  /** The path of the supervisor's socket on this host. */
  socketPath: string;
  uid: number;
  /** Runs a shell command as the desktop's user, or as root with the container's capabilities. @returns its output */
  inside: (command: string, user?: 'desktop' | 'root') => Promise<string>;
  remove: () => Promise<void>;
};

let made = 0;

/** Starts a desktop, and waits for its screen. @param memoryMb of the container */
export async function startTestDesktop(memoryMb = 512): Promise<TestDesktop> {
  const { docker, image } = await startEngine();
  const uid = UIDS.first + (process.pid % 30_000) + made++;
  const id = `supervisor-${process.pid}-${made}`;
  const spec = { image, width: 800, height: 600, memoryMb, cpus: 2, gpus: 0, ttlSeconds: 600, env: {} };
  const place = { fleet: 'supervisor-tests', host: 'test', containerId: id, instanceId: id, fence: 1 };
  const identity = { uid, gid: process.getgid?.() ?? 0, seccomp: true, supervised: true };
  const options = createOptions({ ...spec, network: 'none' }, place, identity);
  const container = await docker.createContainer(options);
  const remove = async () => {
    await container.remove({ force: true, v: true });
    const name = options.name ?? '';
    for (const volume of [name, terminalsName(name)]) await docker.getVolume(volume).remove();
  };
  try {
    await container.start();
    const { Mounts } = await container.inspect();
    const folder = Mounts.find(({ Destination }) => Destination === RFB_DIRECTORY)?.Source ?? '';
    await waitFor('the screen', () => readGreeting(join(folder, RFB_SOCKET)).catch(() => undefined));
    const socketPath = join(folder, SUPERVISOR_SOCKET);
    const supervisor = new Supervisor(async () => socketPath);
    return { container, supervisor, socketPath, uid, inside: insideOf(container), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

export const insideOf =
  (container: Docker.Container): TestDesktop['inside'] =>
  async (command, user = 'desktop') => {
    const as = user === 'root' ? { User: '0:0', WorkingDir: '/' } : await asDesktop(container);
    const exec = await container.exec({ ...as, Cmd: ['sh', '-c', command], AttachStdout: true, Tty: true });
    let text = '';
    for await (const chunk of await exec.start({ Tty: true })) text += chunk;
    return text.replaceAll('\r\n', '\n').trim();
  };
