/** The work took too long. It was not stopped: it may still have effects. */
export class TimeoutError extends Error {
  override name = 'TimeoutError';
}

/**
 * Waits for `work` at most `timeoutMs`. The result of work that ends later is ignored, and so is its error.
 * @param onTimeout returns the result instead, or throws; without it a late `work` rejects
 * @throws TimeoutError when `work` is late and there is no `onTimeout`
 *
 * @example
 * const reply = await withTimeout(ask(), 3000, () => undefined);
 */
export async function withTimeout<T, Late = never>(
  work: Promise<T>,
  timeoutMs: number,
  onTimeout: () => Late = () => {
    throw new TimeoutError(`no answer within ${timeoutMs} ms`);
  },
): Promise<T | Late> {
  const { promise: late, resolve, reject } = Promise.withResolvers<Late>();
  const timer = setTimeout(() => {
    try {
      resolve(onTimeout());
    } catch (error) {
      reject(error);
    }
  }, timeoutMs);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
