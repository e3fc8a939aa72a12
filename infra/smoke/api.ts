import { setTimeout as sleep } from 'node:timers/promises';
import { unreachable } from './advice.ts';

const WITHIN_MS = 15_000;

export type Answer<T = Record<string, unknown>> = { status: number; headers: Headers; body: T };
type Init = { body?: unknown; headers?: Record<string, string>; token?: string | undefined };

/** An edge as its users reach it. */
export class Api {
  readonly #edge: string;
  readonly #token: string;
  #routes: Set<string> | undefined;

  constructor(edge: string, token: string) {
    this.#edge = edge.replace(/\/+$/, '');
    this.#token = token;
  }

  /** As `fetch`, with the token, within 15 s. Who is told to ask later asks later. Rejects with what to do about it. */
  async fetch(method: string, path: string, init: Init = {}, tries = 5): Promise<Response> {
    const response = await this.#once(method, path, init);
    if (response.status !== 429 || tries === 1) return response;
    await response.body?.cancel();
    await sleep(Math.min(Number(response.headers.get('Retry-After') ?? 1), 60) * 1000);
    return this.fetch(method, path, init, tries - 1);
  }

  #once(method: string, path: string, { body, headers = {}, ...given }: Init): Promise<Response> {
    const token = 'token' in given ? given.token : this.#token;
    return fetch(this.#edge + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(WITHIN_MS),
    }).catch((error: unknown) => {
      throw new Error(unreachable(this.#edge, error));
    });
  }

  async call<T = Record<string, unknown>>(method: string, path: string, init?: Init): Promise<Answer<T>> {
    const response = await this.fetch(method, path, init);
    const text = await response.text();
    const isJson = response.headers.get('Content-Type')?.startsWith('application/json');
    return {
      status: response.status,
      headers: response.headers,
      body: isJson ? JSON.parse(text) : ({ text } as T),
    };
  }

  /** Does this version of the edge have the route, by its own description: `get /jobs/{id}/events`. */
  async has(route: string): Promise<boolean> {
    if (!this.#routes) {
      const { body } = await this.call<{ paths?: Record<string, object> }>('GET', '/openapi.json');
      const paths = Object.entries(body.paths ?? {});
      this.#routes = new Set(
        paths.flatMap(([path, methods]) => Object.keys(methods).map((m) => `${m} ${path}`)),
      );
    }
    return this.#routes.has(route);
  }
}
