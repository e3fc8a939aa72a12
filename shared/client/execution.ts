import type { ProgramOutput } from '../contract/events.ts';
import { isTerminal } from '../contract/jobs.ts';
import type { ProgramResult } from '../contract/programs.ts';
import type { EdgeClient } from './http.ts';
import { completed, endOf } from './jobs.ts';
import type { JobOf } from './submission.ts';

/** A piece of a program's output. */
export type OutputPiece = {
  stream: 'stdout' | 'stderr';
  /** How many bytes of the stream precede it. A gap before it was lost to a reader that fell behind. */
  offset: number;
  bytes: Uint8Array<ArrayBuffer>;
  /** The piece as text. A character that two pieces share is in the second one. */
  text: string;
};

/**
 * A program that runs in a container. Iterate over it for its output while it runs, or await its `result`; both are
 * optional, and the program runs to its end without them.
 *
 * @example
 * const run = desktop.exec(['sh', '-c', 'make && make test'], { timeoutMs: 60_000 });
 * for await (const { stream, text } of run) if (stream === 'stdout') console.log(text);
 * const { exitCode } = await run.result;
 */
export class Execution implements AsyncIterable<OutputPiece> {
  /** The id of the job that runs the program. */
  readonly jobId: Promise<string>;
  readonly #edge: EdgeClient;
  readonly #signal: AbortSignal | undefined;
  #reading: Promise<void> | undefined;
  #result: Promise<ProgramResult> | undefined;

  /** @param submission the accepted job; an abort of `signal` cancels it */
  constructor(edge: EdgeClient, submission: Promise<{ jobId: string }>, signal: AbortSignal | undefined) {
    this.#edge = edge;
    this.jobId = submission.then(({ jobId }) => jobId);
    this.#signal = signal;
    const abort = () => {
      this.cancel().catch(() => undefined);
    };
    this.jobId.then(
      () => signal?.addEventListener('abort', abort, { once: true }),
      () => undefined,
    );
  }

  /**
   * The end of the program: its exit code or signal, and the last 64 KB of each stream. It rejects with a
   * `JobFailedError` when the program did not run to its end: it was cancelled, took too long, or lost its host.
   */
  get result(): Promise<ProgramResult> {
    this.#result ??= this.#end();
    return this.#result;
  }

  /**
   * Ends the program and every process that it started.
   *
   * @throws ApiError `conflict` when it has ended already
   */
  async cancel(): Promise<void> {
    await this.#edge.cancelJob(await this.jobId);
  }

  /** Iterates over the output from its beginning, in the order of each stream. Leaving the loop ends nothing. */
  async *[Symbol.asyncIterator](): AsyncGenerator<OutputPiece, void> {
    let finished = () => {};
    this.#reading ??= new Promise((resolve) => {
      finished = resolve;
    });
    try {
      const jobId = await this.jobId;
      const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
      const options = this.#signal ? { signal: this.#signal } : {};
      for await (const { type, data } of this.#edge.jobEvents(jobId, options)) {
        if (type !== 'job.output' || !('stream' in data)) continue;
        const bytes = bytesOf(data);
        const text = decoders[data.stream].decode(bytes, { stream: true });
        yield { stream: data.stream, offset: data.offset, bytes, text };
      }
    } finally {
      finished();
    }
    await this.result;
  }

  async #end(): Promise<ProgramResult> {
    const jobId = await this.jobId;
    await this.#reading;
    const job = this.#reading && (await this.#edge.getJob(jobId, { signal: this.#signal }));
    const ended =
      job && isTerminal(job.state)
        ? completed(job as JobOf<'container.exec'>)
        : await endOf<'container.exec'>(this.#edge, jobId, this.#signal);
    return ended.result as ProgramResult;
  }
}

const bytesOf = (output: ProgramOutput): Uint8Array<ArrayBuffer> =>
  'text' in output
    ? new TextEncoder().encode(output.text)
    : Uint8Array.from(atob(output.base64), (letter) => letter.charCodeAt(0));
