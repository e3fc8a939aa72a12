/**
 * Counts the webhooks in flight by user and by receiver, so that a slow receiver or a user with many webhooks
 * takes no more than its share.
 */
export class InFlight {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Takes a slot of every name.
   * @returns a function that releases them; `undefined` when a name has no free slot
   */
  enter(names: string[]): (() => void) | undefined {
    if (names.some((name) => (this.#counts.get(name) ?? 0) >= this.#limit)) return undefined;
    for (const name of names) this.#add(name, 1);
    return () => {
      for (const name of names) this.#add(name, -1);
    };
  }

  #add(name: string, n: number): void {
    const count = (this.#counts.get(name) ?? 0) + n;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }
}
