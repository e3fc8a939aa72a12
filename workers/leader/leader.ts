import { loop } from '../loop.ts';
import { Lease, type LeaseOptions } from './lease.ts';

/** A task of the complete fleet that only a leader runs. */
export type LeaderTask = {
  name: string;
  /** The pause after each run, ms. */
  everyMs: number;
  /**
   * Runs the task once. It ends soon after its signal is aborted. A rejected run is repeated. A run that
   * resolves to `'more'` is followed by the next without a pause.
   */
  run: (signal: AbortSignal) => Promise<unknown>;
};

export type LeaderOptions = Omit<LeaseOptions, 'onRenewed'> & { tasks: LeaderTask[] };

/** A candidate for a lease of the fleet. It runs its tasks while it holds the lease. */
export class Leader {
  readonly #o: LeaderOptions;
  readonly #lease: Lease;
  #term: { stop: AbortController; done: Promise<unknown> } | undefined;

  constructor(options: LeaderOptions) {
    this.#o = options;
    this.#lease = new Lease({ ...options, onChange: (held) => this.#change(held) });
  }

  /** Whether this process leads now. */
  get leads(): boolean {
    return this.#lease.held;
  }

  start(): void {
    this.#lease.start();
  }

  /** Treats the lease as lost: a peer has released it. */
  drop(): void {
    this.#lease.drop();
  }

  /** Resolves when no task runs here any more. Never rejects. */
  async close(): Promise<void> {
    await this.#lease.release();
    await this.#term?.done;
  }

  #change(held: boolean): void {
    this.#o.onChange?.(held);
    const before = this.#term;
    before?.stop.abort();
    const stop = new AbortController();
    const ready = before?.done ?? Promise.resolve();
    this.#term = { stop, done: held ? ready.then(() => this.#lead(stop.signal)) : ready };
  }

  /** Never rejects. */
  #lead(signal: AbortSignal): Promise<unknown> {
    const { tasks, log } = this.#o;
    return Promise.all(
      tasks.map(({ name, everyMs, run }) =>
        loop(name, log, signal, async () => ((await run(signal)) === 'more' ? 0 : everyMs)),
      ),
    );
  }
}
