import { createParser } from 'eventsource-parser';
import { type AnyEnvelope, isAnyEnvelope } from '../contract/events.ts';
import { RequestTimeoutError } from './http-errors.ts';

/** A stream without data for this long is considered dead, ms. Edge and relay send data every 15 s. */
const SILENT_MS = 40_000;
/** The most characters to buffer before the end of an event: the size of the largest event. */
const MAX_EVENT = 8 * 2 ** 20;

/** Ends a stream when its reader aborts, or when the stream is silent for `SILENT_MS`. */
export class Silence {
  readonly #silent = new AbortController();
  readonly #signal: AbortSignal;

  constructor(signal?: AbortSignal) {
    this.#signal = signal ? AbortSignal.any([signal, this.#silent.signal]) : this.#silent.signal;
  }

  /** Aborts with the signal of the reader, with a `RequestTimeoutError` after a silence, and on `stop`. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  /**
   * Waits for the next data of the stream. A silence aborts the signal and does not reject here, so `next`
   * has to reject with the signal.
   */
  async wait<T>(next: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#silent.abort(new RequestTimeoutError(SILENT_MS)), SILENT_MS);
    try {
      return await next;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Aborts the signal. */
  stop(): void {
    this.#silent.abort();
  }
}

/**
 * Reads the events of one server-sent stream of a job until the stream ends. Events of a later version are
 * included.
 *
 * @throws the reason of the signal of `silence` once it aborts, or the error that ended the stream
 */
export async function* readEventStream(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  silence: Silence,
): AsyncGenerator<AnyEnvelope> {
  const parsed: AnyEnvelope[] = [];
  const parser = createParser({
    maxBufferSize: MAX_EVENT,
    onEvent: ({ data }) => {
      const event: unknown = JSON.parse(data);
      if (isAnyEnvelope(event)) parsed.push(event);
    },
  });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const stop = () => void reader.cancel().catch(() => undefined);
  silence.signal.addEventListener('abort', stop);
  try {
    for (;;) {
      const { done, value } = await silence.wait(reader.read());
      silence.signal.throwIfAborted();
      if (done) return;
      parser.feed(value);
      yield* parsed.splice(0);
    }
  } finally {
    silence.signal.removeEventListener('abort', stop);
    stop();
  }
}
