import { newIdempotencyKey } from '@warmwind/shared/client/submission';

/**
 * How long a request with an unknown outcome is remembered, ms: the same request after that is a new intent.
 */
const REMEMBER_MS = 10 * 60_000;

type Intent = { key: string; at: number };

/**
 * The `Idempotency-Key` of each intent of the user. All requests of one intent have one key: the same request
 * belongs to the same intent until its outcome is known.
 */
export class Intents {
  readonly #open = new Map<string, Intent>();

  /** @param request method, path and body */
  key(request: string): string {
    const known = this.#open.get(request);
    if (known && Date.now() - known.at < REMEMBER_MS) return known.key;
    const key = newIdempotencyKey();
    this.#open.set(request, { key, at: Date.now() });
    return key;
  }

  /** Ends the intent of a request whose outcome is known. */
  settle(request: string): void {
    this.#open.delete(request);
  }
}
