/** The programs of jobs that may run in one desktop at once. */
export const MOST_PROGRAMS = 32;

/** Counts the programs that jobs run in each desktop of this host. */
export class ProgramSlots {
  readonly #taken = new Map<string, number>();

  /** @returns a function that releases the slot; `undefined` when the desktop has no free one */
  take(containerId: string): (() => void) | undefined {
    const taken = this.#taken.get(containerId) ?? 0;
    if (taken >= MOST_PROGRAMS) return undefined;
    this.#taken.set(containerId, taken + 1);
    return () => {
      const left = (this.#taken.get(containerId) ?? 1) - 1;
      if (left > 0) this.#taken.set(containerId, left);
      else this.#taken.delete(containerId);
    };
  }
}
