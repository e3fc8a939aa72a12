/**
 * `Upstash-Sync-Token`: a client sends the last one back to read its own writes. Every command here runs at
 * the one primary, which has all writes: each answer carries a new token, and any returned token is satisfied
 * already.
 */
export class SyncTokens {
  readonly #origin = Date.now().toString(36);
  #answers = 0;

  next(): string {
    this.#answers += 1;
    return `${this.#origin}-${this.#answers.toString(36)}`;
  }
}
