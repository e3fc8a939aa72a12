import { randomUUID } from 'node:crypto';
import { Slots } from '@warmwind/shared/runtime/slots';

/** No place in the line, or no turn within its time. */
export class ModelBusyError extends Error {
  override name = 'ModelBusyError';
}

type Waiting<T> = { user: string; resolve: (item: T) => void; reject: (error: Error) => void };

/**
 * A pool of items for one request at a time, with a share for each user (`Slots`). A request that finds none
 * waits in a line, which is bounded in length and time.
 */
export class Pool<T> {
  readonly #free: T[];
  readonly #size: number;
  readonly #slots: Slots;
  readonly #taken = new Map<T, () => void>();
  readonly #line = new Set<Waiting<T>>();
  readonly #bounds: { waiting: number; withinMs: number };
  readonly #onIdle: (() => void)[] = [];

  constructor(items: T[], bounds: { waiting: number; withinMs: number }) {
    this.#free = [...items];
    this.#size = items.length;
    this.#slots = new Slots(items.length);
    this.#bounds = bounds;
  }

  get taken(): number {
    return this.#size - this.#free.length;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Takes an item, or waits for one.
   * @param user whose share it counts for; without one the request has a share of its own
   * @throws ModelBusyError, or the signal's reason
   */
  async take(signal: AbortSignal, user: string = randomUUID()): Promise<T> {
    signal.throwIfAborted();
    const item = this.#takeFor(user);
    if (item !== undefined) return item;
    const { waiting, withinMs } = this.#bounds;
    if (this.#line.size >= waiting) throw new ModelBusyError(`${waiting} requests wait already`);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#line.delete(place);
        clearTimeout(late);
        signal.removeEventListener('abort', gone);
      };
      const gone = () => place.reject(signal.reason as Error);
      const late = setTimeout(
        () => place.reject(new ModelBusyError(`no turn within ${withinMs} ms`)),
        withinMs,
      );
      const place: Waiting<T> = {
        user,
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

  /** Gives it to the next request in the line whose user has not used up their share. */
  give(item: T): void {
    this.#taken.get(item)?.();
    this.#taken.delete(item);
    this.#free.push(item);
    for (const next of this.#line) {
      const free = this.#takeFor(next.user);
      if (free !== undefined) next.resolve(free);
    }
    if (this.taken === 0) for (const release of this.#onIdle.splice(0)) release();
  }

  #takeFor(user: string): T | undefined {
    const [item] = this.#free.slice(-1);
    const release = item === undefined ? undefined : this.#slots.take(user);
    if (item === undefined || !release) return undefined;
    this.#free.pop();
    this.#taken.set(item, release);
    return item;
  }

  /** Resolves when no item is taken and no request waits. */
  idle(): Promise<void> {
    return this.taken === 0 ? Promise.resolve() : new Promise((resolve) => this.#onIdle.push(resolve));
  }
}
