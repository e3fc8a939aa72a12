import { newIdempotencyKey } from '@warmwind/shared/client/submission';

/** How long a request whose outcome is unknown is remembered, ms: one that is sent again later is a new intent. */
const REMEMBER_MS = 10 * 60_000;

type Intent = { key: string; at: number };

/**
 * The `Idempotency-Key` of what a user asks for: one for all requests of the same intent. The same request belongs to the
 * same intent until its outcome is known.
 */
export class Intents {
  readonly #open = new Map<string, Intent>();

  /** @param request its method, path and body */
  key(request: string): string {
    const known = this.#open.get(request);
    if (known && Date.now() - known.at < REMEMBER_MS) return known.key;
    const key = newIdempotencyKey();
    this.#open.set(request, { key, at: Date.now() });
    return key;
  }

  /** Its outcome is known. */
  settle(request: string): void {
    this.#open.delete(request);
  }
}
