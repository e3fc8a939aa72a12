import { readEventStream, Silence } from '@warmwind/shared/client/event-stream';
import { pause } from '@warmwind/shared/client/pause';
import { isEnvelope } from '@warmwind/shared/contract/events';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import { backoff } from '@warmwind/shared/runtime/backoff';
import type { Relay } from '../realtime/relay.ts';
import { NoAnswerError } from './errors.ts';

/** How often in a row, and at which intervals, an interrupted stream is reopened. */
const TRIES = 12;
const PAUSES = { firstMs: 200, maxMs: 2000 };
/** The longest duration of one stream of an answer, seconds: the next stream continues it. */
const TICKET_SECONDS = 600;

/**
 * Yields a job's events, each once and in order, from the first on. An interrupted stream continues at
 * whichever relay node is available. It ends only by its reader's `return`, or with the signal.
 * @throws NoAnswerError when no relay node is available
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
      throw new NoAnswerError(503, `The answer can not be read now: get the job ${jobId}.`, 'unavailable');
    }
    await pause(backoff(tries, PAUSES), signal);
  }
}

/** Yields the events of one stream of the relay until it ends for any reason. */
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
  const silence = new Silence(signal);
  try {
    // Events that a later version has added carry no part of an answer.
    for await (const event of readEventStream(response.body, silence)) if (isEnvelope(event)) yield event;
  } catch (error) {
    // The relay disconnected or fell silent. An abort by the owner's signal is thrown.
    if (signal.aborted) throw error;
  }
}
