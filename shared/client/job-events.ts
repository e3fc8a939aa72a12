import { createParser } from 'eventsource-parser';
import { type AnyEnvelope, isAnyEnvelope, isEnvelope } from '../contract/events.ts';
import { type Envelope, isTerminalEvent } from '../events.ts';
import { isTerminal } from '../jobs.ts';
import { NetworkError, RequestError, RequestTimeoutError } from './http-errors.ts';
import { pause } from './pause.ts';
import { pauseBeforeRetry, RETRIES, type Retries } from './retries.ts';
import type { Transport } from './transport.ts';

export type JobEventsOptions = {
  /** The last event already known: the events after it follow. */
  after?: string;
  signal?: AbortSignal;
  /** In place of the client's; `attempts` counts those in a row that brought no event. */
  retries?: Partial<Retries>;
};

/** Streams stay away for longer than single requests: while a relay is replaced. */
const STREAM_RETRIES: Retries = { ...RETRIES, attempts: 10 };
/** The edge sends something every 15 s: a stream that brings nothing for longer is dead, ms. */
const SILENT_MS = 40_000;
/** What a stream may hold back without the end of an event, characters. */
const MAX_EVENT = 8 * 2 ** 20;

/**
 * The events of a job, each once and in order, until its latest run has ended. A stream that breaks off goes on after the
 * last event.
 *
 * @throws RequestError when it is refused, or stays away
 */
export async function* readJobEvents(
  transport: Transport,
  jobId: string,
  { after, signal, retries }: JobEventsOptions,
): AsyncGenerator<Envelope, void> {
  let last = after;
  for (let failures = 0; ; ) {
    let error: unknown;
    let ended = false;
    const silence = watchSilence(signal);
    try {
      const headers: Record<string, string> = last === undefined ? {} : { 'Last-Event-ID': last };
      const response = await transport.open(eventsPath(jobId), headers, silence.signal);
      if (response.status === 204 || !response.body) return;
      for await (const event of eventsOf(response.body, silence.renew)) {
        last = event.id;
        failures = 0;
        ended = isEnd(event);
        // A later edge may record events that this version does not know.
        if (isEnvelope(event)) yield event;
      }
      if (ended) return;
      error = new NetworkError('The events of the job ended early. Follow them again after the last one.');
    } catch (caught) {
      signal?.throwIfAborted();
      error = caught instanceof RequestError ? caught : new NetworkError(String(caught), { cause: caught });
    } finally {
      silence.stop();
    }
    failures += 1;
    const pauseMs = pauseBeforeRetry(error, failures, { ...STREAM_RETRIES, ...retries }, true);
    if (pauseMs === undefined) throw error;
    await pause(pauseMs, signal);
  }
}

/** An end that the log has lost is shown by the state of the job. */
const isEnd = (event: AnyEnvelope): boolean =>
  isTerminalEvent(event.type) ||
  (isEnvelope(event) && event.type === 'job.snapshot' && isTerminal(event.data.state));

const eventsPath = (jobId: string): string => `/jobs/${encodeURIComponent(jobId)}/events`;

/** Parses a stream; `onBytes` is called for all that comes, comments too. */
async function* eventsOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  onBytes: () => void,
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
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      parser.feed(value);
      yield* parsed.splice(0);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** A signal that is aborted with that of the caller, or when `renew` was not called for a while. */
function watchSilence(signal: AbortSignal | undefined) {
  const silent = new AbortController();
  const arm = () => setTimeout(() => silent.abort(new RequestTimeoutError(SILENT_MS)), SILENT_MS);
  let timer = arm();
  return {
    signal: signal ? AbortSignal.any([signal, silent.signal]) : silent.signal,
    renew: () => {
      clearTimeout(timer);
      timer = arm();
    },
    stop: () => {
      clearTimeout(timer);
      silent.abort();
    },
  };
}
