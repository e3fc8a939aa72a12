import type { Logger } from '@warmwind/shared/runtime/node/log';
import { loop } from '../../loop.ts';
import { ModelServer, type ServerState } from './server.ts';

const POLL_EVERY_MS = 2000;

export type ModelServersOptions = {
  urls: string[];
  key: string | undefined;
  /** A server in which more requests wait gets no further ones. */
  maxWaiting: number;
  log: Logger;
  /** Is called after every round with the number of servers in each state. */
  onPolled: (states: Record<ServerState, number>) => void;
};

/** The model servers of this worker: their states, models and load. */
export class ModelServers {
  readonly #o: ModelServersOptions;
  readonly #servers: ModelServer[];
  readonly #stop = new AbortController();
  readonly #firstPoll = Promise.withResolvers<void>();
  #polling: Promise<void> | undefined;

  constructor(options: ModelServersOptions) {
    this.#o = options;
    this.#servers = options.urls.map((url) => new ModelServer(url, options.key));
    if (this.#servers.length === 0) this.#firstPoll.resolve();
  }

  start(): void {
    if (this.#servers.length === 0) return;
    this.#polling ??= loop('model servers', this.#o.log, this.#stop.signal, () => this.#poll());
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#firstPoll.resolve();
    await this.#polling;
  }

  /** The models of healthy servers. */
  models(): string[] {
    return [...new Set(this.#up().flatMap((server) => [...server.models]))];
  }

  /** Whether a server loads, so that its models are not known yet. */
  loading(): boolean {
    return this.#servers.some(({ state }) => state === 'loading');
  }

  /** The number of servers in each state. */
  states(): Record<ServerState, number> {
    const states = { up: 0, loading: 0, down: 0 };
    for (const { state } of this.#servers) states[state] += 1;
    return states;
  }

  /**
   * The models that can answer a new job now.
   * @param slots the number of requests that this worker makes at a time
   */
  available(slots: number): string[] {
    if (this.#servers.reduce((sum, { inFlight }) => sum + inFlight, 0) >= slots) return [];
    const free = this.#up().filter(({ waiting }) => waiting <= this.#o.maxWaiting);
    return [...new Set(free.flatMap(({ models }) => [...models]))];
  }

  /**
   * Chooses the server with the least load.
   * @returns `busy` when every server of the model has too many requests or refuses this user; `undefined`
   * when no server has the model
   */
  async choose(model: string, userId: string): Promise<ModelServer | 'busy' | undefined> {
    await this.#firstPoll.promise;
    const serving = this.#up().filter(({ models }) => models.has(model));
    if (serving.length === 0) return undefined;
    const free = serving.filter((server) => server.takes(userId, this.#o.maxWaiting));
    return free.sort((a, b) => a.load - b.load)[0] ?? 'busy';
  }

  #up(): ModelServer[] {
    return this.#servers.filter(({ state }) => state === 'up');
  }

  async #poll(): Promise<number> {
    const before = JSON.stringify(this.states());
    await Promise.all(this.#servers.map((server) => server.poll()));
    this.#firstPoll.resolve();
    const states = this.states();
    if (JSON.stringify(states) !== before) this.#o.log.info({ states }, 'model servers');
    this.#o.onPolled(states);
    return POLL_EVERY_MS;
  }
}
