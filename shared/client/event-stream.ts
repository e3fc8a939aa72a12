import { createParser } from 'eventsource-parser';
import { type AnyEnvelope, isAnyEnvelope } from '../contract/events.ts';
import { RequestTimeoutError } from './http-errors.ts';

/** Edge and relay send something every 15 s: a stream that brings nothing for longer is dead, ms. */
const SILENT_MS = 40_000;
/** What a stream may hold back without the end of an event, characters: as much as the largest event has. */
const MAX_EVENT = 8 * 2 ** 20;

/** Ends a stream with the signal of its reader, or when one wait for it takes too long. */
export class Silence {
  readonly #silent = new AbortController();
  readonly #signal: AbortSignal;

  constructor(signal?: AbortSignal) {
    this.#signal = signal ? AbortSignal.any([signal, this.#silent.signal]) : this.#silent.signal;
  }

  /** Aborted with the signal of the reader, with a `RequestTimeoutError` after a silence, and by `stop`. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  /** Waits for the stream. A silence aborts the signal, and does not reject: what is waited for has to follow the signal. */
  async wait<T>(next: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#silent.abort(new RequestTimeoutError(SILENT_MS)), SILENT_MS);
    try {
      return await next;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Aborts what still follows the signal. */
  stop(): void {
    this.#silent.abort();
  }
}

/**
 * The events of one server-sent stream of a job, of this version or a later one, until it ends.
 * @throws the reason of the signal of `silence`, once that is aborted, or the error that broke the stream
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
