/** A beat as Redis recorded it: its time, and that of the beat before, which Redis still had. */
export type RecordedBeat = { now: number; before: number | undefined };

/**
 * Decides whether the overdue beat of another process proves its death. It does only if Redis was available
 * and has lost nothing for long enough, so that a living process would have beaten. This process's own beats
 * are the evidence: each must find the one before it, shortly before it. All times are those of Redis.
 */
export class Evidence {
  readonly #deadAfterMs: number;
  #last: number | undefined;
  #since: number | undefined;

  /** @param deadAfterMs the time without a beat after which a process counts as dead */
  constructor(deadAfterMs: number) {
    this.#deadAfterMs = deadAfterMs;
  }

  /** Takes a beat into account. @returns whether overdue beats prove deaths now */
  add({ now, before }: RecordedBeat): boolean {
    const found = before !== undefined && this.#last !== undefined && before >= this.#last;
    const prompt = before !== undefined && now - before <= this.#deadAfterMs / 2;
    if (!found || !prompt) this.#since = undefined;
    this.#since ??= now;
    this.#last = now;
    return now - this.#since >= 2 * this.#deadAfterMs;
  }

  /** Begins again: the connection was lost, so that other processes may have lost theirs. */
  reset(): void {
    this.#since = undefined;
  }
}
