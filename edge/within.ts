/** What was asked did not answer in time; it may still happen. */
class Late extends Error {
  override name = 'Late';
}

/** Waits for `work` at most `ms`, then rejects. What `work` comes to later is nobody's business any more. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: number | NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Late(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
