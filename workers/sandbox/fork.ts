import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isFailureCode, JobFailureError } from '../runtime/failures.ts';
import { boundMemory, type MemoryBound } from './memory.ts';
import { ChildMessage } from './protocol.ts';

/** Computation yields to the processes that answer requests on the same machine. */
const NICE = 10;

/** Time that a fork has to become ready, ms. */
const READY_WITHIN_MS = 30_000;
/** Characters of a fork's stderr that are kept, from the end. */
const STDERR_KEPT = 4000;
/** Out-of-memory messages of V8, Node, emscripten, Leptonica and the C++ library. */
const NO_MEMORY =
  /out of memory|allocation failed|failed to allocate|malloc fail|cannot enlarge memory|bad_alloc|\bOOM\b/i;
/** Part of its memory from which on any failure of a fork counts as out of memory. */
const EXHAUSTED = 0.9;

export type Program = {
  /** A module that calls `serve`. */
  module: URL;
  /** The only files and folders that it may read; a folder ends in `*` to include its contents. */
  reads: string[];
  /** Memory for its jobs, MB. */
  memoryMb: number;
};

/**
 * A process that runs jobs one at a time. It has none of its worker's environment, may not open sockets or
 * other files nor start processes, and ends with its worker. It has its own process group, so that only its
 * worker handles a Ctrl-C.
 */
export class Fork {
  /** Jobs that it has completed. */
  served = 0;
  /** Resolves when the process has ended and its output has been read. */
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
      // A process that could not be started never closes. After a message that cannot be sent, it does.
      child.on('error', () => child.pid === undefined && end());
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
  }

  /**
   * Starts a fork and waits until it is ready.
   * @throws JobFailureError once the fork has ended
   */
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

  /**
   * Runs one job. A fork whose job failed is ended, because its state cannot be trusted.
   * @param onProgress receives percents
   * @throws JobFailureError
   */
  async run(input: unknown, onProgress: (percent: number) => void): Promise<unknown> {
    const answer = this.#answer(onProgress);
    if (this.#child.connected) this.#child.send({ input }, () => undefined);
    const reply = await answer;
    // A result that follows a failed allocation may be incomplete.
    if (reply?.type !== 'result' || NO_MEMORY.test(this.#stderr)) throw await this.#failed(reply);
    this.served += 1;
    return reply.result;
  }

  /** Kills it with all its threads. Resolves when it has ended. */
  kill(): Promise<void> {
    if (!this.#dead && this.#child.pid !== undefined) this.#child.kill('SIGKILL');
    return this.gone;
  }

  /**
   * Waits for its next message other than progress. @returns `undefined` when it dies or sends a malformed
   * message
   */
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
    const exhausted = ((await this.#memory?.taken()) ?? 0) > EXHAUSTED;
    await this.kill();
    const message = answer?.type === 'failure' ? answer.message : '';
    const { exitCode, signalCode } = this.#child;
    const cause = new Error(`${message || 'the fork died'} (${signalCode ?? exitCode}): ${this.#stderr}`);
    if (exhausted || this.#exceeded || NO_MEMORY.test(message) || NO_MEMORY.test(this.#stderr)) {
      return new JobFailureError('out_of_memory', cause);
    }
    if (answer?.type === 'failure' && isFailureCode(answer.code))
      return new JobFailureError(answer.code, cause);
    return new JobFailureError('sandbox_crashed', cause);
  }
}

/** The files that `serve` needs. */
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

/**
 * Finds the command by which the kernel kills a fork, even one that hangs, when its worker dies; empty
 * without it.
 */
function launcher(): Promise<string[]> {
  const through = ['setpriv', '--pdeathsig', 'KILL'];
  const [command = '', ...args] = [...through, 'true'];
  launching ??= once(spawn(command, args, { stdio: 'ignore' }), 'exit').then(
    ([code]) => (code === 0 ? through : []),
    () => [],
  );
  return launching;
}

/** Lowers the priority of a process, and of its session: a kernel with autogroups schedules sessions. */
async function lowerPriority(pid: number): Promise<void> {
  setPriority(pid, NICE);
  await writeFile(`/proc/${pid}/autogroup`, `${NICE}`).catch(() => undefined);
}
