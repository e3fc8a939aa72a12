/** How many claims are remembered at most: the oldest are forgotten first. */
const MAX_CLAIMS = 50_000;

/**
 * The claims that this process has made, for as long as Redis keeps them. Redis may lose a claim; the process
 * that carried the call out does not carry it out again.
 */
export class RecentClaims {
  readonly #keptMs: number;
  /** By Redis key, the oldest first: the hash of the input, and until when it is remembered. */
  readonly #claims = new Map<string, { inputHash: string; until: number }>();

  /** @param keptMs how long a claim is remembered, ms */
  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  add(key: string, inputHash: string): void {
    const now = performance.now();
    for (const [oldest, { until }] of this.#claims) {
      if (until > now && this.#claims.size < MAX_CLAIMS) break;
      this.#claims.delete(oldest);
    }
    this.#claims.set(key, { inputHash, until: now + this.#keptMs });
  }

  /** @returns the hash of the input that was claimed; `undefined` when none was */
  inputOf(key: string): string | undefined {
    const claim = this.#claims.get(key);
    return claim && claim.until > performance.now() ? claim.inputHash : undefined;
  }
}
