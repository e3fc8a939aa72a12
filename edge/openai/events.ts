import { readEventStream, Silence } from '@warmwind/shared/client/event-stream';
import { pause } from '@warmwind/shared/client/pause';
import { isEnvelope } from '@warmwind/shared/contract/events';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import { backoff } from '@warmwind/shared/runtime/backoff';
import type { Relay } from '../realtime/relay.ts';
import { NoAnswerError } from './errors.ts';

/** How often in a row, and how far apart, a stream that broke off is taken up again. */
const TRIES = 12;
const PAUSES = { firstMs: 200, maxMs: 2000 };
/** How long one stream of an answer may take, seconds: the next one goes on. */
const TICKET_SECONDS = 600;

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
      throw new NoAnswerError(
        503,
        `The answer can not be read now: ask for the job ${jobId}.`,
        'unavailable',
      );
    }
    await pause(backoff(tries, PAUSES), signal);
  }
}

/** The events of one stream of the relay until it ends, however that is. */
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
    // An event that a later version records tells nothing of an answer.
    for await (const event of readEventStream(response.body, silence)) if (isEnvelope(event)) yield event;
  } catch (error) {
    // A relay that went away, or fell silent; a signal is its owner's.
    if (signal.aborted) throw error;
  }
}
