import Docker from 'dockerode';
import { LABELS } from '../../../workers/containers/spec.ts';
import { ensureDesktopImage } from '../../images/desktop/build.ts';
import { ensureEngine } from '../../local/engine/engine.ts';

/** A Docker Engine that answers, with the desktop image. */
export type TestEngine = { socket: string; docker: Docker; image: string };

/**
 * Starts a Docker Engine when none runs, and builds the desktop image when it is missing. The first call of a
 * test run may take minutes: use `ENGINE_WITHIN_MS` as the time-out of the hook. The engine runs until the
 * end of the test run.
 */
export async function startEngine(): Promise<TestEngine> {
  const holder = Number(process.env.WARMWIND_TEST_PID ?? process.pid);
  const { socket } = await ensureEngine({ holder });
  const { exact } = await ensureDesktopImage({ socket });
  return { socket, image: exact, docker: new Docker({ socketPath: socket }) };
}

export const ENGINE_WITHIN_MS = 600_000;

/** Options of a program that the engine runs in a worker's container as its user does: the same user, home and display. */
export async function asDesktop(container: Docker.Container): Promise<Docker.ExecCreateOptions> {
  const { Config } = await container.inspect();
  const uid = Config.Labels[LABELS.uid];
  return { User: `${uid}:${uid}`, WorkingDir: '/home/user', Env: ['DISPLAY=:0'] };
}
