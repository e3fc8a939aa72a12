import { type Engine, ensureEngine } from '../engine/engine.ts';
import { born, type ProcessId } from './processes.ts';

/** The Docker Engine that the stack's desktops live on. */
export type StackEngine = {
  socket: string;
  /** Its process when it was started here; a machine's own engine is not ours to watch. */
  process: () => ProcessId | undefined;
  /** Called when it has another process. */
  onChange: (listener: () => void) => void;
  /** Releases it; an engine that was started here ends with its last user. */
  stop: () => Promise<void>;
};

const WATCH_MS = 1000;

/** Finds the engine or starts one, and restarts that one when it dies. Without any it reports the remedy. */
export async function findEngine(
  socket: string,
  logPath: string,
  report: (name: string, text: string) => void,
): Promise<StackEngine | undefined> {
  const begun = Date.now();
  const ensure = () => ensureEngine({ socket, logPath, onProgress: (line) => report('docker', line) });
  let engine: Engine;
  try {
    engine = await ensure();
  } catch (error) {
    report('docker', `no desktops, all other parts run: ${messageOf(error)}`);
    return undefined;
  }
  report('docker', `${'Docker Engine'.padEnd(27)} ${engine.socket.padEnd(28)} ${Date.now() - begun} ms`);

  let listener = () => {};
  let busy = false;
  const watch = setInterval(async () => {
    const { process } = engine;
    if (busy || !process || born(process.pid) === process.born) return;
    busy = true;
    report('docker', 'ended; starting it again');
    try {
      engine = await ensure();
      listener();
      report('docker', `is back (pid ${engine.process?.pid})`);
    } catch (error) {
      report('docker', `does not start: ${messageOf(error)}`);
    }
    busy = false;
  }, WATCH_MS);

  return {
    socket: engine.socket,
    process: () => engine.process,
    onChange: (then) => {
      listener = then;
    },
    stop: () => {
      clearInterval(watch);
      return engine.stop();
    },
  };
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
