/**
 * How many webhooks are on their way at once: a receiver, or a user with many of them, that answers slowly takes no more
 * than its share.
 */
export class InFlight {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes a place under every name. → gives them back; `undefined` when one of them is full */
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
