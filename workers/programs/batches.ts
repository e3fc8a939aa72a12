/**
 * Joins chunks of bytes into batches: each has `bytes` bytes, or fewer when the oldest of them has waited for
 * `ms`.
 */
export async function* batchesOf(
  source: AsyncIterable<Buffer>,
  { bytes, ms }: { bytes: number; ms: number },
): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  // A rejection is thrown where the promise is awaited, which may be later.
  const read = () => {
    const result = chunks.next();
    result.catch(() => undefined);
    return result;
  };
  let next = read();
  try {
    for (;;) {
      const first = await next;
      if (first.done) return;
      let pending = first.value;
      next = read();
      const due = Promise.withResolvers<undefined>();
      const timer = setTimeout(due.resolve, ms, undefined);
      while (pending.length < bytes) {
        const more = await Promise.race([next, due.promise]).catch(() => undefined);
        if (!more || more.done) break;
        pending = Buffer.concat([pending, more.value]);
        next = read();
      }
      clearTimeout(timer);
      for (let from = 0; from < pending.length; from += bytes) yield pending.subarray(from, from + bytes);
    }
  } finally {
    await chunks.return?.();
  }
}
