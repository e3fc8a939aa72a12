import { Lease, type LeaseOptions } from './lease.ts';

export type LeaderOptions = Omit<LeaseOptions, 'onRenewed'> & {
  /** What the holder does until it is told to stop. Must not reject. */
  lead: (signal: AbortSignal) => Promise<void>;
};

/** Work that one process of the fleet does at a time: the one that holds a lease, for as long as it holds it. */
export class Leader {
  readonly #o: LeaderOptions;
  readonly #lease: Lease;
  #term: { stop: AbortController; done: Promise<void> } | undefined;

  constructor(options: LeaderOptions) {
    this.#o = options;
    this.#lease = new Lease({ ...options, onChange: (held) => this.#change(held) });
  }

  start(): void {
    this.#lease.start();
  }

  /** Never rejects. */
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
    this.#term = { stop, done: held ? ready.then(() => this.#o.lead(stop.signal)) : ready };
  }
}
