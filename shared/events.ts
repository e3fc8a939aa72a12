import { TERMINAL_JOB_STATES, type TerminalJobState } from './jobs.ts';

/** The dotted names of recorded (replayable) events. */
export const EVENT_TYPES = [
  'job.queued',
  'job.active',
  'job.progress',
  'job.output',
  'job.retrying',
  'job.completed',
  'job.failed',
  'job.cancelled',
  'job.timed_out',
  'job.snapshot',
  'container.requested',
  'container.starting',
  'container.started',
  'container.paused',
  'container.resumed',
  'container.stopping',
  'container.stopped',
  'container.failed',
  'container.lost',
  'container.snapshot',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** What is stored in a room's log: an event that does not know its id and room yet. */
export type StoredEvent = {
  type: EventType;
  run?: number;
  /** ISO 8601 in UTC, when it happened. */
  time: string;
  /** Always names its subject (`jobId` or `containerId`), so that it means something in the owner's room too. */
  data: Record<string, unknown>;
};

/** What a client receives. `id` is opaque; hand the last one seen back as `after`. */
export type Envelope = StoredEvent & { id: string; room: string };

export type Room = `job:${string}` | `container:${string}` | `user:${string}`;
export type RoomKind = 'job' | 'container' | 'user';

/** `job:<id>` → its parts; `undefined` when it is no room. */
export function parseRoom(room: unknown): { kind: RoomKind; id: string; room: Room } | undefined {
  if (typeof room !== 'string' || room.length > 200) return undefined;
  const match = /^(job|container|user):(.+)$/s.exec(room);
  if (!match?.[1] || !match[2]) return undefined;
  return { kind: match[1] as RoomKind, id: match[2], room: room as Room };
}

/** Room logs keep at least this many events; older ones are trimmed, and who asks for them gets a snapshot. */
export const LOG_MAX_EVENTS = 5000;
/** A room's log is forgotten this long after its last event, seconds. */
export const LOG_TTL_SECONDS = 86_400;

export const terminalEvent = (state: TerminalJobState): EventType => `job.${state}`;
export const isTerminalEvent = (type: string): boolean =>
  TERMINAL_JOB_STATES.some((state) => type === terminalEvent(state));

/** Redis stream ids (`<ms>-<n>`) in log order: negative when `a` comes before `b`. */
export function compareEventIds(a: string, b: string): number {
  const [aMs = 0, aSeq = 0] = a.split('-').map(Number);
  const [bMs = 0, bSeq = 0] = b.split('-').map(Number);
  return aMs - bMs || aSeq - bSeq;
}

/** As `after`: none of what was, the present state as snapshots and then what happens. */
export const PRESENT = '9999999999999-0';

/** What a client may hand in as `after`. */
export const isEventId = (value: unknown): value is string =>
  typeof value === 'string' && /^\d{1,16}-\d{1,16}$/.test(value);
