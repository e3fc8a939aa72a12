import type { Readable } from 'node:stream';
import { TURN_MS, type Turn } from '../turns.ts';

/**
 * A parser of a byte stream. It yields the number of bytes that it needs next, and receives exactly these.
 * They are valid until it yields again, so it copies the bytes that it keeps. It may also yield a promise, to
 * continue when that settles.
 */
export type Parser<T> = Generator<number | Promise<unknown>, T, Buffer>;

/** The peer violated the protocol: nothing more is read from it. */
export class ProtocolError extends Error {}

/** The clock is checked after so many steps, and after each step of many bytes. */
const STEPS = 32;
const MANY_BYTES = 4096;
const EMPTY = Buffer.alloc(0);

/**
 * Feeds a parser until it returns; rejects when the source ends before. While the parser waits the source is
 * paused, so the peer waits as well.
 * @param turn when the parser may run: it yields to others after each turn
 * @returns the result of the parser
 */
export async function feed<T>(source: Readable, parser: Parser<T>, turn: Turn): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let step = parser.next(EMPTY);
  let parts: Buffer[] = [];
  let size = 0;
  let waiting = false;
  /** The source failed: bytes that are not parsed yet are dropped. */
  let failed = false;
  let closed = false;
  const gone = () => reject(new ProtocolError('the desktop closed the connection'));

  /**
   * Runs the parser on the bytes received.
   * @returns promises to await first; none: it ended, or needs more bytes
   */
  const run = (): Promise<unknown>[] => {
    const since = performance.now();
    let bytes: Buffer | undefined;
    let at = 0;
    const waits: Promise<unknown>[] = [];
    for (let steps = 1; !step.done && waits.length === 0; steps++) {
      const wanted = step.value;
      if (typeof wanted !== 'number') break;
      if (size - at < wanted) break;
      bytes ??= parts.length === 1 ? parts[0] : Buffer.concat(parts, size);
      step = parser.next((bytes ?? EMPTY).subarray(at, at + wanted));
      at += wanted;
      if (steps % STEPS > 0 && wanted < MANY_BYTES) continue;
      if (performance.now() - since > TURN_MS) waits.push(new Promise(setImmediate));
    }
    if (!step.done && typeof step.value !== 'number') waits.push(step.value);
    if (bytes) parts = at < size ? [bytes.subarray(at)] : [];
    size -= at;
    turn.spent(performance.now() - since);
    return waits;
  };

  const waitFor = async (what: Promise<unknown>): Promise<void> => {
    waiting = true;
    await what;
    waiting = false;
  };

  const go = async (): Promise<void> => {
    for (;;) {
      const turns = turn.take();
      if (turns) await waitFor(turns);
      if (failed) return;
      const waits = run();
      if (waits.length === 0) break;
      await waitFor(Promise.all(waits));
      if (failed) return;
      if (!step.done && typeof step.value !== 'number') step = parser.next(EMPTY);
    }
    if (step.done) resolve(step.value);
    else if (closed) gone();
    else source.resume();
  };

  source.on('data', (chunk: Buffer) => {
    parts.push(chunk);
    size += chunk.length;
    if (waiting) source.pause();
    else go().catch(reject);
  });
  source.once('error', (error) => {
    failed = true;
    reject(error);
  });
  source.once('close', () => {
    closed = true;
    if (!waiting) gone();
  });
  return promise;
}

/** Skips bytes, in small pieces. */
export function* skip(bytes: number): Parser<void> {
  for (let left = bytes; left > 0; left -= 16_384) yield Math.min(left, 16_384);
}
