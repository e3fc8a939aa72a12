import { setTimeout as sleep } from 'node:timers/promises';
import type { OutputStream } from '@warmwind/shared/engine/node/records';
import type { ProgramOutput } from '../runtime/delivery.ts';
import { batchesOf } from './batches.ts';
import type { Pace } from './pace.ts';
import { contentOf, partialCharacter } from './pieces.ts';
import { Tail } from './tail.ts';

/** An event holds about so many bytes, or those of so many ms. */
const BATCH = { bytes: 16 * 1024, ms: 40 };
/** The first and the longest pause before a piece that was not published is sent again, ms. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;

export type OutputOptions = {
  stream: OutputStream;
  program: ProgramOutput;
  pace: Pace;
  signal: AbortSignal;
  /** How many of the last bytes the result holds. */
  tailBytes: number;
  /** Reports the offset up to which the log has the stream. */
  onPublished: (end: number) => Promise<void>;
};

/**
 * Publishes one stream of a program, each byte once and in order. It reads no faster than it publishes, so
 * that the program is slowed while events can't be published.
 */
export class Output {
  readonly #o: OutputOptions;
  readonly #tail: Tail;
  #end = 0;

  constructor(options: OutputOptions) {
    this.#o = options;
    this.#tail = new Tail(options.tailBytes);
  }

  /** How many bytes the stream had so far. */
  get end(): number {
    return this.#end;
  }

  /** The last bytes. */
  get tail(): { value: string; isText: boolean } {
    return this.#tail.content(this.#end);
  }

  /**
   * Publishes until the source ends.
   * @param source the bytes from `from` on
   * @param published the offset up to which the log has the stream: bytes before it are not published again
   */
  async copy(source: AsyncIterable<Buffer>, from: number, published: number): Promise<void> {
    this.#end = from;
    let start = Math.max(from, published);
    let held: Buffer = Buffer.alloc(0);
    for await (const batch of batchesOf(source, BATCH)) {
      const known = Math.max(0, start + held.length - this.#end);
      this.#tail.add(batch);
      this.#end += batch.length;
      const bytes = Buffer.concat([held, batch.subarray(known)]);
      const partial = partialCharacter(bytes);
      held = bytes.subarray(bytes.length - partial);
      start = await this.#publish(start, bytes.subarray(0, bytes.length - partial));
    }
    await this.#publish(start, held);
  }

  /** Publishes bytes that begin at an offset. @returns the offset of their end */
  async #publish(start: number, bytes: Buffer): Promise<number> {
    if (bytes.length === 0) return start;
    const { stream, program, pace, signal, onPublished } = this.#o;
    const end = start + bytes.length;
    const piece = { stream, start, end, ...contentOf(bytes) };
    await pace.take(bytes.length, signal);
    for (let pauseMs = FIRST_PAUSE_MS; !(await program.publish(piece)); ) {
      // The log may have it although its answer was lost.
      if (((await program.ends())?.[stream] ?? 0) >= end) break;
      await sleep(pauseMs, undefined, { signal });
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
    signal.throwIfAborted();
    await onPublished(end);
    return end;
  }
}
