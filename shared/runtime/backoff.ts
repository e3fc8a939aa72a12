/**
 * How long to wait before a try, ms: doubles with each, and up to half of it is left out at random, so that many who
 * failed together do not come back together.
 * @param attempt counts the tries that failed, from 1
 */
export const backoff = (attempt: number, { firstMs = 250, maxMs = 10_000 } = {}): number =>
  Math.min(firstMs * 2 ** (attempt - 1), maxMs) * (1 - Math.random() / 2);
