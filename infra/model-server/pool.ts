/** No place in the line, or no turn within its time. */
export class Busy extends Error {
  override name = 'Busy';
}

type Waiting<T> = { resolve: (item: T) => void; reject: (error: Error) => void };

/** Things that one user at a time may have. Who finds none free waits in a line, which is bounded in length and time. */
export class Pool<T> {
  readonly #free: T[];
  readonly #size: number;
  readonly #line = new Set<Waiting<T>>();
  readonly #bounds: { waiting: number; withinMs: number };
  readonly #onIdle: (() => void)[] = [];

  constructor(items: T[], bounds: { waiting: number; withinMs: number }) {
    this.#free = [...items];
    this.#size = items.length;
    this.#bounds = bounds;
  }

  get taken(): number {
    return this.#size - this.#free.length;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** Rejects with `Busy`, or with the signal's reason. */
  async take(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const item = this.#free.pop();
    if (item !== undefined) return item;
    const { waiting, withinMs } = this.#bounds;
    if (this.#line.size >= waiting) throw new Busy(`${waiting} requests wait already`);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#line.delete(place);
        clearTimeout(late);
        signal.removeEventListener('abort', gone);
      };
      const gone = () => place.reject(signal.reason as Error);
      const late = setTimeout(() => place.reject(new Busy(`no turn within ${withinMs} ms`)), withinMs);
      const place: Waiting<T> = {
        resolve: (taken) => {
          leave();
          resolve(taken);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      this.#line.add(place);
      signal.addEventListener('abort', gone, { once: true });
    });
  }

  /** Gives it to the next in the line. */
  give(item: T): void {
    const [next] = this.#line;
    if (next) next.resolve(item);
    else this.#free.push(item);
    if (this.taken === 0) for (const tell of this.#onIdle.splice(0)) tell();
  }

  /** Resolves when nothing is taken and nobody waits. */
  idle(): Promise<void> {
    return this.taken === 0 ? Promise.resolve() : new Promise((resolve) => this.#onIdle.push(resolve));
  }
}
