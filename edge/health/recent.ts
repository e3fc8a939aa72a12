/**
 * How long an answer is reused, ms: a client that polls faster learns nothing new and costs the stores
 * nothing.
 */
const RECENT_MS = 500;

/**
 * Caches the result of `look` for `RECENT_MS`. It caches values, not promises: a request never waits for the
 * I/O of another.
 */
export function recent<T, A>(look: (argument: A) => Promise<T>): (argument: A) => Promise<T> {
  let known: { value: T; at: number } | undefined;
  return async (argument) => {
    if (known && Date.now() - known.at < RECENT_MS) return known.value;
    const value = await look(argument);
    known = { value, at: Date.now() };
    return value;
  };
}
