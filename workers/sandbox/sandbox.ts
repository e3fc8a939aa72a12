import { JobFailureError } from '../runtime/failures.ts';
import { Fork, type Program } from './fork.ts';

/** A fork is replaced after this many jobs. */
const JOBS_A_FORK = 50;
/** A fork that is idle for this long is ended, ms. */
const IDLE_MS = 60_000;

export type SandboxOptions = Program & {
  /** Maximum number of forks. */
  size: number;
};

/**
 * Runs jobs in forked processes with bounded memory, so that a crash or an overrun fails only one job. A fork
 * whose job completed is kept for the next job.
 */
export class Sandbox {
  readonly #o: SandboxOptions;
  readonly #idle: { fork: Fork; timer: NodeJS.Timeout }[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #closed = new AbortController();
  #busy = 0;

  constructor(options: SandboxOptions) {
    this.#o = options;
  }

  /**
   * Runs one job. When `signal` is aborted its fork is killed.
   * @param onProgress receives percents
   * @throws JobFailureError of the work itself, or with `out_of_memory` or `sandbox_crashed`
   */
  async run(input: unknown, signal: AbortSignal, onProgress: (percent: number) => void): Promise<unknown> {
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    await this.#takeSlot(stop);
    try {
      const kept = this.#take();
      if (kept) {
        try {
          return await this.#runOn(kept, input, stop, onProgress);
        } catch (error) {
          // The failure of a kept fork may come from an earlier job: the job runs again in a fresh fork.
          if (stop.aborted || !isLoss(error)) throw error;
        }
      }
      return await this.#runOn(await Fork.start(this.#o, stop), input, stop, onProgress);
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy -= 1;
    }
  }

  /** Ends every fork. Running jobs fail. */
  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all(this.#idle.splice(0).map(({ fork, timer }) => this.#end(fork, timer)));
  }

  async #runOn(
    fork: Fork,
    input: unknown,
    stop: AbortSignal,
    onProgress: (percent: number) => void,
  ): Promise<unknown> {
    const kill = () => void fork.kill();
    stop.addEventListener('abort', kill, { once: true });
    try {
      stop.throwIfAborted();
      const result = await fork.run(input, onProgress);
      if (fork.served < JOBS_A_FORK && !stop.aborted) this.#keep(fork);
      else await fork.kill();
      return result;
    } catch (error) {
      await fork.kill();
      throw error;
    } finally {
      stop.removeEventListener('abort', kill);
    }
  }

  /** Waits for one of `size` slots; a job that ends passes its slot on. */
  async #takeSlot(stop: AbortSignal): Promise<void> {
    stop.throwIfAborted();
    if (this.#busy < this.#o.size) {
      this.#busy += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const take = () => {
        stop.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        reject(stop.reason);
      };
      this.#waiting.push(take);
      stop.addEventListener('abort', leave, { once: true });
    });
  }

  #take(): Fork | undefined {
    for (let kept = this.#idle.pop(); kept; kept = this.#idle.pop()) {
      clearTimeout(kept.timer);
      if (!kept.fork.dead) return kept.fork;
    }
    return undefined;
  }

  #keep(fork: Fork): void {
    const timer = setTimeout(() => {
      const at = this.#idle.findIndex((kept) => kept.fork === fork);
      if (at >= 0) this.#idle.splice(at, 1);
      void fork.kill();
    }, IDLE_MS);
    timer.unref();
    this.#idle.push({ fork, timer });
  }

  #end(fork: Fork, timer: NodeJS.Timeout): Promise<void> {
    clearTimeout(timer);
    return fork.kill();
  }
}

const isLoss = (error: unknown): boolean =>
  error instanceof JobFailureError && (error.code === 'out_of_memory' || error.code === 'sandbox_crashed');
