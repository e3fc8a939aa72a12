/** How long an answer is given again, ms: whoever asks more often learns nothing new, and costs the stores nothing. */
const RECENT_MS = 500;

/** What `look` came to, at most `RECENT_MS` ago. A value only: what one request waits for is no other's to wait for. */
export function recent<T, A>(look: (argument: A) => Promise<T>): (argument: A) => Promise<T> {
  let known: { value: T; at: number } | undefined;
  return async (argument) => {
    if (known && Date.now() - known.at < RECENT_MS) return known.value;
    const value = await look(argument);
    known = { value, at: Date.now() };
    return value;
  };
}
