import { type AnyEnvelope, isEnvelope } from '../contract/events.ts';
import { isTerminal } from '../contract/jobs.ts';
import { type Envelope, isTerminalEvent } from '../contract/rooms.ts';
import { readEventStream, Silence } from './event-stream.ts';
import { NetworkError, RequestError } from './http-errors.ts';
import { pause } from './pause.ts';
import { pauseBeforeRetry, RETRIES, type Retries } from './retries.ts';
import type { Transport } from './transport.ts';

/** Options of `jobEvents`. */
export type JobEventsOptions = {
  /** Reads only events after this event id. Default: every event of the job's log. */
  after?: string;
  /** Ends the iteration, which rejects with the reason of the signal. */
  signal?: AbortSignal;
  /** Overrides the retries; `attempts` counts consecutive attempts without an event. Default: 10 attempts. */
  retries?: Partial<Retries>;
};

/** Streams are unavailable for longer than single requests, for instance while a relay is replaced. */
const STREAM_RETRIES: Retries = { ...RETRIES, attempts: 10 };

/**
 * Reads the events of a job, each once and in order, until its latest run has ended. An interrupted stream
 * continues after the last event.
 *
 * @throws RequestError when the edge refuses, or stays unavailable beyond the retries
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
    const silence = new Silence(signal);
    try {
      const headers: Record<string, string> = last === undefined ? {} : { 'Last-Event-ID': last };
      const response = await silence.wait(transport.open(eventsPath(jobId), headers, silence.signal));
      if (response.status === 204 || !response.body) return;
      for await (const event of readEventStream(response.body, silence)) {
        last = event.id;
        failures = 0;
        ended = isEnd(event);
        // A later edge may record events that this version does not know.
        if (isEnvelope(event)) yield event;
      }
      if (ended) return;
      error = new NetworkError('The stream of job events ended early. Read it again after the last event.');
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

/** A snapshot with a terminal state is also an end: the log may have lost the last event. */
const isEnd = (event: AnyEnvelope): boolean =>
  isTerminalEvent(event.type) ||
  (isEnvelope(event) && event.type === 'job.snapshot' && isTerminal(event.data.state));

const eventsPath = (jobId: string): string => `/jobs/${encodeURIComponent(jobId)}/events`;
