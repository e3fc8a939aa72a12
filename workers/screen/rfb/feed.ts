import type { Readable } from 'node:stream';
import { TURN_MS, type Turn } from '../turns.ts';

/**
 * A parser of a byte stream yields how many bytes it needs next, and is given exactly these: they are valid until it
 * yields again, so what it keeps it copies. Or it yields what must be over before it goes on.
 */
export type Parser<T> = Generator<number | Promise<unknown>, T, Buffer>;

/** The peer does not speak as it should: nothing more of it is read. */
export class ProtocolError extends Error {}

/** The clock is looked at after so many steps, and after each that takes many bytes. */
const STEPS = 32;
const MANY_BYTES = 4096;
const EMPTY = Buffer.alloc(0);

/**
 * Feeds a parser until it returns; rejects when the source ends before. While the parser waits nothing more is read than
 * what was on its way, so the peer waits as well.
 * @param turn when it may run: it gives way to others after each turn's time
 */
export async function feed<T>(source: Readable, parser: Parser<T>, turn: Turn): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let step = parser.next(EMPTY);
  let parts: Buffer[] = [];
  let size = 0;
  let waiting = false;
  /** It has broken off: what it has said so far does not count. */
  let failed = false;
  let closed = false;
  const gone = () => reject(new ProtocolError('the desktop closed the connection'));

  /** Runs the parser as far as it comes. → what has to be over before it goes on; nothing: it has ended, or needs more */
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

/** Reads past bytes that nobody needs, in small pieces. */
export function* skip(bytes: number): Parser<void> {
  for (let left = bytes; left > 0; left -= 16_384) yield Math.min(left, 16_384);
}
