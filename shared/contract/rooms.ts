import { TERMINAL_JOB_STATES, type TerminalJobState } from './jobs.ts';

export type { AnyEnvelope, AnyEvent, Envelope, EventType, Snapshot, StoredEvent } from './events.ts';

export type Room = `job:${string}` | `container:${string}` | `user:${string}`;
export type RoomKind = 'job' | 'container' | 'user';

/**
 * Parses a room such as `job:<id>`.
 * @returns `undefined` when it is no room
 */
export function parseRoom(room: unknown): { kind: RoomKind; id: string; room: Room } | undefined {
  if (typeof room !== 'string' || room.length > 200) return undefined;
  const match = /^(job|container|user):(.+)$/s.exec(room);
  if (!match?.[1] || !match[2]) return undefined;
  return { kind: match[1] as RoomKind, id: match[2], room: room as Room };
}

/**
 * Room logs keep at least this many events, within `LOG_MAX_BYTES`; a client that asks for trimmed ones gets
 * a snapshot.
 */
export const LOG_MAX_EVENTS = 5000;
/**
 * Room logs hold at most this many bytes of event JSON; the oldest events are trimmed, the newest one always
 * stays.
 */
export const LOG_MAX_BYTES = 4 * 1024 * 1024;
/** A room's log is forgotten this long after its last event, seconds. */
export const LOG_TTL_SECONDS = 86_400;

export const terminalEvent = <State extends TerminalJobState>(state: State): `job.${State}` => `job.${state}`;
export const isTerminalEvent = (type: string): boolean =>
  TERMINAL_JOB_STATES.some((state) => type === terminalEvent(state));

/** Redis stream ids (`<ms>-<n>`) in log order: negative when `a` comes before `b`. */
export function compareEventIds(a: string, b: string): number {
  const [aMs = 0, aSeq = 0] = a.split('-').map(Number);
  const [bMs = 0, bSeq = 0] = b.split('-').map(Number);
  return aMs - bMs || aSeq - bSeq;
}

/** As `after`: no past events, but the present state as snapshots and then live events. */
export const PRESENT = '9999999999999-0';

/** Is it an event id, as a client sends it in `after`? */
export const isEventId = (value: unknown): value is string =>
  typeof value === 'string' && /^\d{1,16}-\d{1,16}$/.test(value);
