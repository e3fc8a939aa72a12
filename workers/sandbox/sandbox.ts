import { JobFailureError } from '../runtime/failures.ts';
import { Fork, type Program } from './fork.ts';

/** A fork is replaced after this many jobs. */
const JOBS_A_FORK = 50;
/** A fork that nobody needed for so long is ended, ms. */
const IDLE_MS = 60_000;

export type SandboxOptions = Program & {
  /** Forks at once, at most. */
  size: number;
};

/**
 * Runs jobs in forked processes whose memory is bounded, so that one that crashes or takes too much loses that job alone.
 * A fork that has done its job well is kept for the next one.
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
   * Does one job. When `signal` is aborted its fork is killed.
   * @throws JobFailure: what the work itself says, `out_of_memory`, `sandbox_crashed`
   */
  async run(input: unknown, signal: AbortSignal, onProgress: (percent: number) => void): Promise<unknown> {
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    await this.#place(stop);
    try {
      const kept = this.#take();
      if (kept) {
        try {
          return await this.#runOn(kept, input, stop, onProgress);
        } catch (error) {
          // What a kept fork suffers may come from its past: the job is judged in a fresh one.
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

  /** Ends every fork; those with a job fail it. */
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

  /** Waits for one of `size` places; whoever leaves hands it over. */
  async #place(stop: AbortSignal): Promise<void> {
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
