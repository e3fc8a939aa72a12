import type { ErrorBody } from '@warmwind/shared/errors';

/** Who clicks faster than a limit allows waits for as long, and notices nothing. */
const SOON_MS = 2000;
const ATTEMPTS = 3;

/** An answer that is not 2xx, in words for people. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly body: Partial<ErrorBody>;

  constructor(status: number, body: Partial<ErrorBody>) {
    const wrong = body.issues?.map(({ path, message }) => `${path}: ${message}`).join('; ');
    super(wrong || body.message || `The edge answered ${status}.`);
    this.status = status;
    this.body = body;
  }
}

/** Calls the edge as the user of `token`. Everything rejects with `ApiFailure`, or with what `fetch` says. */
export class Api {
  readonly #token: string;
  readonly #onUnauthenticated: () => void;

  /** @param onUnauthenticated the token is not (or no longer) accepted */
  constructor(token: string, onUnauthenticated: () => void) {
    this.#token = token;
    this.#onUnauthenticated = onUnauthenticated;
  }

  async call<T = Record<string, never>>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#fetch(method, path, body);
    const text = await response.text();
    return (text ? JSON.parse(text) : {}) as T;
  }

  async blob(path: string): Promise<Blob> {
    return (await this.#fetch('GET', path)).blob();
  }

  async #fetch(method: string, path: string, body?: unknown): Promise<Response> {
    const request: RequestInit = {
      method,
      headers: {
        Authorization: `Bearer ${this.#token}`,
        ...(method === 'POST' ? { 'Idempotency-Key': crypto.randomUUID() } : {}),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(path, request);
      if (response.ok) return response;
      if (response.status === 401) this.#onUnauthenticated();
      const said = (await response.json().catch(() => ({}))) as Partial<ErrorBody>;
      const { retryAfterMs = Number.POSITIVE_INFINITY } = said;
      if (response.status !== 429 || attempt >= ATTEMPTS || retryAfterMs > SOON_MS) {
        throw new ApiFailure(response.status, said);
      }
      await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
    }
  }
}
