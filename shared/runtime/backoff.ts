/**
 * How long to wait before a retry, ms: doubles with each, less a random part of up to half, so that clients
 * that failed together do not retry together.
 * @param attempt counts the tries that failed, from 1
 */
export const backoff = (attempt: number, { firstMs = 250, maxMs = 10_000 } = {}): number =>
  Math.min(firstMs * 2 ** (attempt - 1), maxMs) * (1 - Math.random() / 2);
