import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isFailureCode, JobFailureError } from '../runtime/failures.ts';
import { boundMemory, type MemoryBound } from './memory.ts';
import { ChildMessage } from './protocol.ts';

/** What computes gives way to what answers on the same machine. */
const NICE = 10;

/** A fork that is not ready by then is given up, ms. */
const READY_WITHIN_MS = 30_000;
/** How much of what a fork writes to stderr is kept, characters from the end. */
const STDERR_KEPT = 4000;
/** How allocators say that there is no more: V8, Node, emscripten, Leptonica, the C++ library. */
const NO_MEMORY =
  /out of memory|allocation failed|failed to allocate|malloc fail|cannot enlarge memory|bad_alloc|\bOOM\b/i;
/** What fails with this much of its memory taken fails for want of it, whatever it says. */
const FULL = 0.9;

export type Program = {
  /** A module that calls `serve`. */
  module: URL;
  /** Files and folders it reads, `*` at the end of a folder for all in it; it sees nothing else of the disk. */
  reads: string[];
  /** How much memory its jobs may take, MB. */
  memoryMb: number;
};

/**
 * A process that does jobs one at a time. It has none of its worker's environment, may open no socket or file and start
 * no process, and ends with its worker. It is in a process group of its own: a Ctrl-C is its worker's to handle.
 */
export class Fork {
  /** Jobs that it has completed. */
  served = 0;
  /** Resolves when it has gone and all that it wrote is read. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  #stderr = '';
  #memory: MemoryBound | undefined;
  #exceeded = false;
  #dead = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.gone = new Promise((resolve) => {
      const end = () => {
        this.#dead = true;
        resolve();
      };
      child.once('close', end);
      // What could not be started never closes; a message that can't be sent is followed by an end.
      child.on('error', () => child.pid === undefined && end());
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
  }

  /** Starts one and waits until it is ready. Rejects with a `JobFailure`; the fork is gone then. */
  static async start({ module, reads, memoryMb }: Program, signal: AbortSignal): Promise<Fork> {
    const readable = [fileURLToPath(module), ...OWN, ...reads].map((path) => `--allow-fs-read=${path}`);
    const node = ['--permission', '--allow-worker', '--disable-warning=PERM0006', ...readable];
    node.push(`--max-old-space-size=${memoryMb}`);
    const [execPath = process.execPath, ...execArgv] = [...(await launcher()), process.execPath, ...node];
    signal.throwIfAborted();
    const child = fork(module, [], {
      execPath,
      execArgv,
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const made = new Fork(child);
    const kill = () => void made.kill();
    const timer = setTimeout(kill, READY_WITHIN_MS);
    signal.addEventListener('abort', kill, { once: true });
    try {
      const reply = await made.#answer();
      if (reply?.type !== 'ready' || child.pid === undefined) throw await made.#failed(reply);
      await lowerPriority(child.pid);
      const memory = await boundMemory(child.pid, memoryMb, () => {
        made.#exceeded = true;
        kill();
      });
      made.#memory = memory;
      void made.gone.then(memory.end);
      return made;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
    }
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Does one job. A fork whose job failed is gone: what it holds is not to be trusted. Rejects with a `JobFailure`. */
  async run(input: unknown, onProgress: (percent: number) => void): Promise<unknown> {
    const answer = this.#answer(onProgress);
    if (this.#child.connected) this.#child.send({ input }, () => undefined);
    const reply = await answer;
    // Work that goes on after an allocation failed has lost something on its way.
    if (reply?.type !== 'result' || NO_MEMORY.test(this.#stderr)) throw await this.#failed(reply);
    this.served += 1;
    return reply.result;
  }

  /** At once, with all its threads. Resolves when it is gone. */
  kill(): Promise<void> {
    if (!this.#dead && this.#child.pid !== undefined) this.#child.kill('SIGKILL');
    return this.gone;
  }

  /** What it says next that is no progress; `undefined` when it dies, or says what nobody understands. */
  #answer(onProgress: (percent: number) => void = () => undefined): Promise<ChildMessage | undefined> {
    return new Promise((resolve) => {
      const onMessage = (message: unknown) => {
        const reply = ChildMessage.safeParse(message).data;
        if (reply?.type === 'progress') return onProgress(reply.percent);
        this.#child.off('message', onMessage);
        resolve(reply);
      };
      this.#child.on('message', onMessage);
      void this.gone.then(() => {
        this.#child.off('message', onMessage);
        resolve(undefined);
      });
    });
  }

  async #failed(answer: ChildMessage | undefined): Promise<JobFailureError> {
    const full = ((await this.#memory?.taken()) ?? 0) > FULL;
    await this.kill();
    const message = answer?.type === 'failure' ? answer.message : '';
    const { exitCode, signalCode } = this.#child;
    const cause = new Error(`${message || 'the fork died'} (${signalCode ?? exitCode}): ${this.#stderr}`);
    if (full || this.#exceeded || NO_MEMORY.test(message) || NO_MEMORY.test(this.#stderr)) {
      return new JobFailureError('out_of_memory', cause);
    }
    if (answer?.type === 'failure' && isFailureCode(answer.code))
      return new JobFailureError(answer.code, cause);
    return new JobFailureError('sandbox_crashed', cause);
  }
}

/** What `serve` needs. */
const OWN = [
  './',
  '../runtime/failures.ts',
  '../package.json',
  '../../node_modules/@warmwind/shared',
  '../../shared/package.json',
  '../../shared/runtime/text.ts',
].map((path) => {
  const found = fileURLToPath(new URL(path, import.meta.url));
  return path.endsWith('/') ? `${found}*` : found;
});

let launching: Promise<string[]> | undefined;

/** The program through which the kernel ends a fork with its worker, also one that hangs; nothing where it is not to be had. */
function launcher(): Promise<string[]> {
  const through = ['setpriv', '--pdeathsig', 'KILL'];
  const [command = '', ...args] = [...through, 'true'];
  launching ??= once(spawn(command, args, { stdio: 'ignore' }), 'exit').then(
    ([code]) => (code === 0 ? through : []),
    () => [],
  );
  return launching;
}

/** The kernel weighs processes within a session, and sessions where it groups them: a fork has a session of its own. */
async function lowerPriority(pid: number): Promise<void> {
  setPriority(pid, NICE);
  await writeFile(`/proc/${pid}/autogroup`, `${NICE}`).catch(() => undefined);
}
