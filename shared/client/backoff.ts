/** Milliseconds to wait before the `attempt`th try (from 1): doubling from a quarter of a second to 10 s, with jitter. */
export const backoff = (attempt: number): number =>
  Math.min(250 * 2 ** (attempt - 1), 10_000) * (0.5 + Math.random() / 2);
