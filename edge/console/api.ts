import { signal } from '@preact/signals';
import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import { RequestError } from '@warmwind/shared/client/http-errors';
import type { CommandInput, Submission } from '@warmwind/shared/client/submission';
import type { JobKind } from '@warmwind/shared/contract/registry';
import { backoff } from '@warmwind/shared/runtime/backoff';
import { Intents } from './intents.ts';

/** The longest pause before a refused request is retried without notice to the user, ms. */
const SOON_MS = 2000;
const ATTEMPTS = 3;
/** The time limit of an answer, ms. */
const ANSWER_MS = 30_000;

/**
 * Calls the edge for the console's user. It repeats a submission under one key, and watches the connection.
 */
export class Api {
  /** Whether the last request reached the server. While it did not, the server is probed. */
  readonly reachable = signal(true);
  readonly edge: EdgeClient;
  readonly #onUnauthenticated: () => void;
  readonly #intents = new Intents();
  /** When the user's rate limit has room again, ms since 1970. */
  #limitedUntil = 0;
  #probing = false;

  /** @param onUnauthenticated the token is not accepted, or no longer */
  constructor(token: string, onUnauthenticated: () => void) {
    this.#onUnauthenticated = onUnauthenticated;
    this.edge = createEdgeClient({
      url: '',
      token,
      timeoutMs: ANSWER_MS,
      retries: { attempts: ATTEMPTS, maxPauseMs: SOON_MS, unanswered: false },
      fetch: (url, init) => this.#fetch(url, init),
    });
  }

  /** How long requests that are not urgent wait for the rate limit, ms. */
  get limitedMs(): number {
    return Math.max(0, this.#limitedUntil - Date.now());
  }

  command<K extends JobKind>(kind: K, input: CommandInput<K>): Promise<Submission<K>> {
    const intent = `${kind} ${JSON.stringify(input)}`;
    return this.#once(intent, (idempotencyKey) => this.edge.command(kind, input, { idempotencyKey }));
  }

  retryJob(id: string): Promise<unknown> {
    return this.#once(`retry ${id}`, (idempotencyKey) => this.edge.retryJob(id, { idempotencyKey }));
  }

  /** Submits under one key until the outcome is known, however often the user repeats the request. */
  async #once<T>(intent: string, submit: (key: string) => Promise<T>): Promise<T> {
    try {
      const accepted = await submit(this.#intents.key(intent));
      this.#intents.settle(intent);
      return accepted;
    } catch (error) {
      if (error instanceof RequestError && !error.isOutcomeUnknown) this.#intents.settle(intent);
      throw error;
    }
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const response = await fetch(url, init).catch((error: unknown) => {
      this.reachable.value = false;
      void this.#probe();
      throw error;
    });
    this.reachable.value = true;
    if (response.status === 401) this.#onUnauthenticated();
    const limitedMs = Number(response.headers.get('Retry-After')) * 1000;
    if (response.status === 429 && limitedMs > 0) this.#limitedUntil = Date.now() + limitedMs;
    return response;
  }

  /** Probes the server until it answers; this consumes none of the user's limits. */
  async #probe(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    for (let attempt = 1; !this.reachable.value; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, backoff(attempt)));
      if (this.reachable.value || document.visibilityState !== 'visible') continue;
      await this.edge.live({ retries: { attempts: 1 } }).catch(() => undefined);
    }
    this.#probing = false;
  }
}
