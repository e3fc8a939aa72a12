import { signal } from '@preact/signals';
import { backoff } from '@warmwind/shared/client/backoff';
import { isUnknownOutcome, type RequestError, refusal, unreachable } from './failure.ts';
import { Intents } from './intents.ts';

/** A refusal that passes this soon is waited for, ms: the user notices nothing. */
const SOON_MS = 2000;
const ATTEMPTS = 3;
/** How long an answer may take, ms. */
const ANSWER_MS = 30_000;

/** Calls the edge as the user of `token`. Everything rejects with `RequestError`. */
export class Api {
  /** Did the last request reach the server? While it did not, the server is looked for. */
  readonly reachable = signal(true);
  readonly #token: string;
  readonly #onUnauthenticated: () => void;
  readonly #intents = new Intents();
  /** When the user's rate limit has room again, ms since 1970. */
  #limitedUntil = 0;
  #probing = false;

  /** @param onUnauthenticated the token is not (or no longer) accepted */
  constructor(token: string, onUnauthenticated: () => void) {
    this.#token = token;
    this.#onUnauthenticated = onUnauthenticated;
  }

  /** How long what is not urgent waits for the rate limit, ms. */
  get limitedMs(): number {
    return Math.max(0, this.#limitedUntil - Date.now());
  }

  async call<T = Record<string, never>>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#request(method, path, body);
    const text = await response.text().catch(() => {
      throw unreachable();
    });
    return (text ? JSON.parse(text) : {}) as T;
  }

  async blob(path: string): Promise<Blob> {
    const response = await this.#request('GET', path);
    return response.blob().catch(() => {
      throw unreachable();
    });
  }

  async #request(method: string, path: string, body?: unknown): Promise<Response> {
    const content = body === undefined ? undefined : JSON.stringify(body);
    const headers: Record<string, string> = { Authorization: `Bearer ${this.#token}` };
    if (content !== undefined) headers['Content-Type'] = 'application/json';
    const intent = method === 'POST' ? `${method} ${path} ${content}` : undefined;
    if (intent) headers['Idempotency-Key'] = this.#intents.key(intent);

    const init: RequestInit = { method, headers, ...(content === undefined ? {} : { body: content }) };
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#send(path, init);
      if (answer instanceof Response) {
        if (intent) this.#intents.settle(intent);
        return answer;
      }
      if (answer.status === 401) this.#onUnauthenticated();
      const { status, retryAfterMs = Number.POSITIVE_INFINITY } = answer;
      if (status === 429 && Number.isFinite(retryAfterMs)) this.#limitedUntil = Date.now() + retryAfterMs;
      if (![429, 503].includes(status) || attempt >= ATTEMPTS || retryAfterMs > SOON_MS) {
        if (intent && !isUnknownOutcome(answer)) this.#intents.settle(intent);
        throw answer;
      }
      await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
    }
  }

  async #send(path: string, init: RequestInit): Promise<Response | RequestError> {
    const response = await this.#fetch(path, init);
    if (!response) {
      this.reachable.value = false;
      void this.#probe();
      return unreachable();
    }
    this.reachable.value = true;
    return response.ok ? response : refusal(response);
  }

  /** Looks for the server until it answers; this costs the user's limits nothing. */
  async #probe(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    for (let attempt = 1; !this.reachable.value; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, backoff(attempt)));
      if (this.reachable.value || document.visibilityState !== 'visible') continue;
      if (await this.#fetch('/health/live', {})) this.reachable.value = true;
    }
    this.#probing = false;
  }

  #fetch(path: string, init: RequestInit): Promise<Response | undefined> {
    return fetch(path, { ...init, signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => undefined);
  }
}
