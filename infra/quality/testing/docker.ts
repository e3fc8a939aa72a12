import Docker from 'dockerode';
import { ensureDesktopImage } from '../../images/desktop/build.ts';
import { ensureEngine } from '../../local/engine/engine.ts';

/** What a test needs to run desktops: an engine that answers, and our image in it. */
export type TestEngine = { socket: string; docker: Docker; image: string };

/**
 * The first call of a test run starts a Docker Engine when none runs, and builds the desktop image when it is not there
 * (minutes: give the hook `ENGINE_WITHIN_MS`). The engine stays until the test run ends.
 */
export async function startEngine(): Promise<TestEngine> {
  const holder = Number(process.env.WARMWIND_TEST_PID ?? process.pid);
  const { socket } = await ensureEngine({ holder });
  const { exact } = await ensureDesktopImage({ socket });
  return { socket, image: exact, docker: new Docker({ socketPath: socket }) };
}

export const ENGINE_WITHIN_MS = 600_000;
