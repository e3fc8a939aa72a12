/** Minimum time for which a user whose request was refused is held back, ms. */
const HELD_AT_LEAST_MS = 250;
/** The pause for all users after the second user's refusal; it doubles with each further user, ms. */
const PAUSE_MS = 1000;
const MAX_PAUSE_MS = 15_000;

type Held = { sinceMs: number; untilMs: number };

/**
 * The refusals (429 or 503) of one model server. A server distinguishes users, so one refusal may concern
 * only its user, who is held back. Refusals of several users without an accepted request in between concern
 * the server, which is paused for all users. Times are ms since 1970.
 */
export class Refusals {
  readonly #held = new Map<string, Held>();
  #acceptedAtMs = 0;
  #pausedUntilMs = 0;

  /** @param retryAfterMs the pause that the server asks for, ms; 0 when it asks for none */
  add(userId: string, retryAfterMs: number, nowMs = Date.now()): void {
    for (const [user, { untilMs }] of this.#held) if (untilMs <= nowMs) this.#held.delete(user);
    const untilMs = Math.max(
      nowMs + Math.max(HELD_AT_LEAST_MS, retryAfterMs),
      this.#held.get(userId)?.untilMs ?? 0,
    );
    const known = this.#users();
    this.#held.set(userId, { sinceMs: nowMs, untilMs });
    const users = this.#users();
    // Only the refusal of a further user concerns the server.
    if (users < 2 || users === known) return;
    const asked = Math.max(PAUSE_MS, retryAfterMs);
    const pauseMs = Math.min(asked, PAUSE_MS * 2 ** (users - 2), MAX_PAUSE_MS);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + pauseMs);
  }

  /**
   * Records that the server answers a request of `givenAtMs`: earlier refusals concerned only their users.
   */
  accept(givenAtMs: number): void {
    this.#acceptedAtMs = Math.max(this.#acceptedAtMs, givenAtMs);
  }

  /** Checks whether the server may get a request of this user now. */
  allow(userId: string, nowMs = Date.now()): boolean {
    return nowMs >= this.#pausedUntilMs && nowMs >= (this.#held.get(userId)?.untilMs ?? 0);
  }

  /** Counts the users that were refused since the last accepted request. */
  #users(): number {
    return [...this.#held.values()].filter(({ sinceMs }) => sinceMs > this.#acceptedAtMs).length;
  }
}
