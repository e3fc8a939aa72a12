import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { parseJson } from '@warmwind/shared/runtime/json';
import { z } from 'zod';

/** How many events the engine keeps, in memory. */
const LOG_EVENTS = 256;
/** An engine that stops gives its containers 15 s, and answers meanwhile, ms. */
const STOPPING_MS = 20_000;
const SIGKILL = '9';

/** An event of the engine. */
const EngineEvent = z.object({
  Type: z.string(),
  Action: z.string(),
  Actor: z.object({ Attributes: z.object({ name: z.string().optional(), signal: z.string().optional() }) }),
  timeNano: z.number(),
});
export type EngineEvent = z.infer<typeof EngineEvent>;

/** Reads the events that the engine still has, the oldest first. */
export async function readEvents(stream: NodeJS.ReadableStream): Promise<EngineEvent[]> {
  const lines = (await text(stream as Readable)).split('\n').filter(Boolean);
  return lines.map((line) => parseJson(EngineEvent, line));
}

/** An engine container, and what the engine remembers. */
export type Remembered = {
  events: EngineEvent[];
  /** The possible names of the container. */
  names: string[];
  /** When it ended, ms; `undefined` when it runs, or the engine no longer has it. */
  endedAt: number | undefined;
  isLiveRestored: boolean;
};

/**
 * Whether a container ended because the engine was restarted. The engine keeps its latest events in memory, so
 * a process of the engine that has seen the container start also has its end. After a restart the start is
 * missing, and so is the end, unless the engine ended the container as it came back: then it killed it, which
 * it does not do with live-restore.
 */
export function endedByRestart(remembered: Remembered): boolean {
  const { events, endedAt, isLiveRestored } = remembered;
  const has = actionsOf(remembered);
  if (has('start')) return false;
  if (has('die')) return !isLiveRestored && has('kill') && has('stop');
  const [oldest] = events;
  // A full log has lost the older events.
  if (!oldest || events.length < LOG_EVENTS) return !has('destroy');
  return endedAt !== undefined && oldest.timeNano / 1e6 <= endedAt;
}

/**
 * Whether the engine may be about to stop: it has just asked the container to end, as it does before its own
 * end. Once it is back, or some time has passed, {@link endedByRestart} decides.
 * @param now ms since 1970
 */
export function mayBeStopping({ events, names }: Remembered, now: number): boolean {
  const own = ownOf({ events, names });
  const isAsked = own.some(
    ({ Action, Actor, timeNano }) =>
      Action === 'kill' && Actor.Attributes.signal !== SIGKILL && timeNano / 1e6 > now - STOPPING_MS,
  );
  return isAsked && own.some(({ Action }) => Action === 'start');
}

/** Whether the engine was certainly restarted since a container started. */
export const hasRestarted = (remembered: Remembered): boolean =>
  remembered.events.length < LOG_EVENTS && !actionsOf(remembered)('start');

const ownOf = ({ events, names }: Pick<Remembered, 'events' | 'names'>): EngineEvent[] =>
  events.filter(({ Type, Actor }) => Type === 'container' && names.includes(Actor.Attributes.name ?? ''));

function actionsOf(remembered: Remembered): (action: string) => boolean {
  const own = ownOf(remembered);
  return (action) => own.some(({ Action }) => Action === action);
}
