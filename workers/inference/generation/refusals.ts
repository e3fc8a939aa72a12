/** A user whose request was refused is held back at least so long, ms. */
const HELD_AT_LEAST_MS = 250;
/** The pause for all users after the second user's refusal; it doubles with each further user, ms. */
const PAUSE_MS = 1000;
const MAX_PAUSE_MS = 15_000;

type Held = { sinceMs: number; untilMs: number };

/**
 * The refusals (429 or 503) of one model server. One refusal may be about its user alone, as the server knows users apart:
 * it holds back that user. Refusals of several users, with no request accepted in between, are about the server: they pause
 * it for all. Times are ms since 1970.
 */
export class Refusals {
  readonly #held = new Map<string, Held>();
  #acceptedAtMs = 0;
  #pausedUntilMs = 0;

  /** @param retryAfterMs how long the server asks to be left alone; 0 when it does not say */
  add(userId: string, retryAfterMs: number, nowMs = Date.now()): void {
    for (const [user, { untilMs }] of this.#held) if (untilMs <= nowMs) this.#held.delete(user);
    const untilMs = Math.max(
      nowMs + Math.max(HELD_AT_LEAST_MS, retryAfterMs),
      this.#held.get(userId)?.untilMs ?? 0,
    );
    const known = this.#users();
    this.#held.set(userId, { sinceMs: nowMs, untilMs });
    const users = this.#users();
    // Only a further user is news of the server: the same one again is not.
    if (users < 2 || users === known) return;
    const asked = Math.max(PAUSE_MS, retryAfterMs);
    const pauseMs = Math.min(asked, PAUSE_MS * 2 ** (users - 2), MAX_PAUSE_MS);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + pauseMs);
  }

  /** The server answers a request that it was given then: the refusals before it were about their users. */
  accept(givenAtMs: number): void {
    this.#acceptedAtMs = Math.max(this.#acceptedAtMs, givenAtMs);
  }

  /** May the server be given a request of this user now? */
  allow(userId: string, nowMs = Date.now()): boolean {
    return nowMs >= this.#pausedUntilMs && nowMs >= (this.#held.get(userId)?.untilMs ?? 0);
  }

  /** How many users were refused since the last request that was accepted. */
  #users(): number {
    return [...this.#held.values()].filter(({ sinceMs }) => sinceMs > this.#acceptedAtMs).length;
  }
}
