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
    const key = randomKey();
    this.#open.set(request, { key, at: Date.now() });
    return key;
  }

  /** Its outcome is known. */
  settle(request: string): void {
    this.#open.delete(request);
  }
}

/** 128 random bits. `crypto.randomUUID` is missing where a page comes over plain HTTP from another host than localhost. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
