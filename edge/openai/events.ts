import { backoff } from '@warmwind/shared/backoff';
import { isEnvelope } from '@warmwind/shared/contract/events';
import type { Envelope } from '@warmwind/shared/events';
import { createParser } from 'eventsource-parser';
import type { Relay } from '../realtime/relay.ts';
import { NoAnswer } from './errors.ts';

/** The relay says something every 15 s: a stream that says nothing for longer is dead. */
const SILENT_MS = 40_000;
/** How often in a row, and how far apart, a stream that broke off is taken up again. */
const TRIES = 12;
const PAUSES = { firstMs: 200, maxMs: 2000 };
/** How long one stream of an answer may take, seconds: the next one goes on. */
const TICKET_SECONDS = 600;
/** What a stream may hold back without an end of an event, characters: as much as the largest event has. */
const MAX_EVENT = 8 * 2 ** 20;

/**
 * A job's events, each once and in order, from the first on. A stream that breaks off goes on at whichever relay node takes
 * it up; when none does, it throws. Ends only by its reader's `return`, or with the signal.
 */
export async function* jobEvents(
  relay: Relay,
  user: string,
  jobId: string,
  signal: AbortSignal,
): AsyncGenerator<Envelope, never> {
  let last: string | undefined;
  let tries = 0;
  for (;;) {
    for await (const event of open(relay, user, jobId, last, signal)) {
      last = event.id;
      tries = 0;
      yield event;
    }
    signal.throwIfAborted();
    if (++tries > TRIES) {
      throw new NoAnswer(503, `The answer can not be read now: ask for the job ${jobId}.`, 'unavailable');
    }
    await pause(backoff(tries, PAUSES), signal);
  }
}

/** What one stream of the relay brings until it ends, however that is. */
async function* open(
  relay: Relay,
  user: string,
  jobId: string,
  last: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Envelope> {
  const response = await relay
    .events(user, jobId, last, { ttlSeconds: TICKET_SECONDS })
    .catch(() => undefined);
  if (response?.status !== 200 || !response.body || signal.aborted) {
    await response?.body?.cancel();
    return;
  }
  const parsed: Envelope[] = [];
  const parser = createParser({
    maxBufferSize: MAX_EVENT,
    onEvent: ({ data }) => {
      const event: unknown = JSON.parse(data);
      // One that a later version records tells nothing of an answer.
      if (isEnvelope(event)) parsed.push(event);
    },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const stop = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop);
  try {
    for (;;) {
      const silent = setTimeout(stop, SILENT_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silent));
      if (done) return;
      parser.feed(value);
      yield* parsed.splice(0);
    }
  } catch (error) {
    // A relay that went away in mid-stream; a signal is its owner's.
    if (signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
