/**
 * A parser of a byte stream yields how many bytes it needs next, and is given exactly these: they are valid until it
 * yields again, so what it keeps it copies. Or it yields what must be over before it goes on.
 */
export type Parser<T> = Generator<number | Promise<unknown>, T, Buffer>;

/** The peer does not speak as it should: nothing more of it is read. */
export class ProtocolError extends Error {}

/** A parser that ran for so long gives way to others, ms. */
const SLICE_MS = 8;
const EMPTY = Buffer.alloc(0);

/**
 * Feeds a parser until it returns; rejects when the source ends before. While the parser waits nothing is read, so the
 * peer waits as well.
 * @param rest told how long the parser has run, ms; what it answers is waited for
 */
export async function feed<T>(
  source: AsyncIterable<Buffer>,
  parser: Parser<T>,
  rest: (busyMs: number) => Promise<unknown> | undefined,
): Promise<T> {
  let since = performance.now();
  const pause = async (waits: Promise<unknown> | undefined) => {
    const rests = rest(performance.now() - since);
    if (waits) await waits;
    if (rests) await rests;
    since = performance.now();
  };
  let step = parser.next(EMPTY);
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of source) {
    since = performance.now();
    parts.push(chunk);
    size += chunk.length;
    if (typeof step.value === 'number' && size < step.value) continue;
    const bytes = parts.length === 1 ? chunk : Buffer.concat(parts, size);
    let at = 0;
    for (;;) {
      if (step.done) return step.value;
      const wanted = step.value;
      if (typeof wanted !== 'number') {
        await pause(wanted);
        step = parser.next(EMPTY);
        continue;
      }
      if (bytes.length - at < wanted) break;
      step = parser.next(bytes.subarray(at, at + wanted));
      at += wanted;
      if (performance.now() - since > SLICE_MS) await pause(new Promise(setImmediate));
    }
    size = bytes.length - at;
    parts = size > 0 ? [bytes.subarray(at)] : [];
    await pause(undefined);
  }
  throw new ProtocolError('the desktop closed the connection');
}

/** Reads past bytes that nobody needs, in small pieces. */
export function* skip(bytes: number): Parser<void> {
  for (let left = bytes; left > 0; left -= 16_384) yield Math.min(left, 16_384);
}
