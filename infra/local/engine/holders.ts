import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { born, type ProcessId } from '../stack/processes.ts';

const STOP_WITHIN_MS = 25_000;

/**
 * The state of a dockerd that was started here: its pid, and the processes that use it. Callers hold the
 * engine's lock, unless a method documents otherwise.
 */
export class Holders {
  readonly pidfile: string;
  readonly #folder: string;
  readonly #state: string;
  readonly #containerdPidfile: string;

  constructor({ stateDir, execRoot }: { stateDir: string; execRoot: string }) {
    this.#state = stateDir;
    this.pidfile = join(stateDir, 'dockerd.pid');
    this.#folder = join(stateDir, 'holders');
    this.#containerdPidfile = join(execRoot, 'containerd/containerd.pid');
  }

  /** Records that process `pid` uses the engine. */
  async add(pid: number): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeFile(join(this.#folder, `${pid}`), born(pid) ?? '');
  }

  /** Does process `pid` use the engine? Needs no lock. */
  async has(pid: number): Promise<boolean> {
    return (await this.#names()).includes(`${pid}`);
  }

  /**
   * Removes the record of a process.
   * @returns how many living processes still use the engine
   */
  async remove(pid: number): Promise<number> {
    await rm(join(this.#folder, `${pid}`), { force: true });
    let living = 0;
    for (const name of await this.#names()) {
      const birth = await readFile(join(this.#folder, name), 'utf8').catch(() => '');
      if (birth !== '' && birth === born(Number(name))) living++;
      else await rm(join(this.#folder, name), { force: true });
    }
    return living;
  }

  /** The dockerd that was started here, if it lives. */
  async dockerd(): Promise<ProcessId | undefined> {
    const pid = await running(this.pidfile, 'dockerd');
    const birth = pid && born(pid);
    return birth ? { pid, born: birth } : undefined;
  }

  /** Stops the dockerd that was started here, with its containers and its containerd. */
  async stopDockerd(): Promise<void> {
    const dockerd = await running(this.pidfile, 'dockerd');
    const containerd = await running(this.#containerdPidfile, 'containerd');
    if (dockerd) await end(dockerd, 'dockerd');
    if (dockerd && containerd) await end(containerd, 'containerd');
    await rm(this.#state, { recursive: true, force: true });
  }

  async #names(): Promise<string[]> {
    return readdir(this.#folder).catch(() => []);
  }
}

/** The pid in `pidfile`, when that process lives and runs `program`. */
export async function running(pidfile: string, program: string): Promise<number | undefined> {
  const pid = Number(await readFile(pidfile, 'utf8').catch(() => ''));
  return pid > 1 && (await isRunning(pid, program)) ? pid : undefined;
}

async function end(pid: number, program: string): Promise<void> {
  const deadline = Date.now() + STOP_WITHIN_MS;
  signal(pid, 'SIGTERM');
  while (await isRunning(pid, program)) {
    if (Date.now() > deadline) signal(pid, 'SIGKILL');
    if (Date.now() > deadline + 5000)
      throw new Error(`${program} (pid ${pid}) does not end: \`kill -9 ${pid}\``);
    await sleep(50);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}

async function isRunning(pid: number, program: string): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  return name.trim() === program && born(pid) !== undefined;
}
