import type { ErrorBody } from '@warmwind/shared/errors';

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

/** Calls the edge as the user of `token`. Rejects with `ApiFailure`, or with what `fetch` says. */
export type Api = <T = Record<string, never>>(method: string, path: string, body?: unknown) => Promise<T>;

/** @param onUnauthenticated the token is not (or no longer) accepted */
export const createApi =
  (token: string, onUnauthenticated: () => void): Api =>
  async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const submits = method === 'POST';
    const response = await fetch(path, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        ...(submits ? { 'Idempotency-Key': crypto.randomUUID() } : {}),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get('Content-Type')?.includes('json') && text ? JSON.parse(text) : {};
    if (response.ok) return json as T;
    if (response.status === 401) onUnauthenticated();
    throw new ApiFailure(response.status, json as Partial<ErrorBody>);
  };
