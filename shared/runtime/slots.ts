/**
 * The slots of one pool of work, shared by users. A user who holds a slot may take another one only while
 * they hold fewer than are free: alone they get half of all, and every user who joins leaves a smaller rest
 * to the next. So a newcomer's first job starts at once, however busy one user is.
 */
export class Slots {
  readonly #size: number;
  readonly #held = new Map<string, number>();
  #taken = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Whether a user's next job is within their share. A first job always is; the caller bounds the total. */
  admits(user: string): boolean {
    const held = this.#held.get(user) ?? 0;
    return held === 0 || held < this.#size - this.#taken;
  }

  /** @returns a function that releases the slot; `undefined` when the user has their share */
  take(user: string): (() => void) | undefined {
    if (!this.admits(user)) return undefined;
    this.#taken += 1;
    this.#held.set(user, (this.#held.get(user) ?? 0) + 1);
    return () => {
      this.#taken -= 1;
      const left = (this.#held.get(user) ?? 1) - 1;
      if (left > 0) this.#held.set(user, left);
      else this.#held.delete(user);
    };
  }
}
