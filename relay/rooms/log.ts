import { parseEvent } from '@warmwind/shared/contract/events';
import { type AnyEnvelope, type AnyEvent, compareEventIds, type Room } from '@warmwind/shared/contract/rooms';
import { roomKeys } from '@warmwind/shared/engine/keys';
import { readPage } from '@warmwind/shared/engine/scripts/page.lua';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';

/** A room and its owner. Together they name its log and its channel. */
export type RoomId = { owner: string; room: Room };

/** The position before every event. */
export const START = '0-0';

type Entry = { id: string; n: number; event: AnyEvent };

/** A page of a log. */
export type Page = {
  /** The position after which `entries` follow. */
  from: string;
  entries: Entry[];
  /** The log may hold more. */
  more: boolean;
  /** Events between the requested position and `entries` were trimmed or lost. */
  truncated: boolean;
};

/**
 * Reads the page after `position`, the id of an event or `START`. The page is truncated when that event is no
 * longer in the log, or when the log's first event is not the first that was ever written to it. It still
 * holds the events that remain.
 */
export async function readLog(redis: Redis, { owner, room }: RoomId, position: string): Promise<Page> {
  const args = {
    position: position === START ? '-' : position,
    maxRows: LIMITS.pageEvents,
    maxBytes: LIMITS.pageBytes,
  };
  const [rows, maybeMore] = await runScript(redis, readPage, { owner, room }, args);
  const entries = rows.map(parse);
  const more = maybeMore === 1;
  const first = entries[0];
  if (position === START) {
    return { from: START, entries, more, truncated: first !== undefined && first.n !== 1 };
  }
  if (first?.id === position) return { from: position, entries: entries.slice(1), more, truncated: false };
  if (first) return { from: position, entries, more, truncated: true };
  // No event at or after `position`: the log is lost, or an older copy was restored. New events follow at its
  // end.
  const last = await readTail(redis, { owner, room });
  const overtaken = compareEventIds(last, position) > 0;
  return { from: overtaken ? position : last, entries, more: overtaken, truncated: true };
}

/** Reads the id of the log's last event; `START` when the log is empty. */
export async function readTail(redis: Redis, { owner, room }: RoomId): Promise<string> {
  const [row] = await redis.xrevrange(roomKeys.log(owner, room), '+', '-', 'COUNT', 1);
  return row?.[0] ?? START;
}

/** Parses a channel's message: `<previous id>\n<id>\n<event JSON>`. */
export function parseMessage(message: string): { prev: string; id: string; event: AnyEvent } {
  const first = message.indexOf('\n');
  const second = message.indexOf('\n', first + 1);
  return {
    prev: message.slice(0, first),
    id: message.slice(first + 1, second),
    event: parseEvent(message.slice(second + 1)),
  };
}

export const envelope = ({ room }: RoomId, id: string, event: AnyEvent): AnyEnvelope => ({
  id,
  room,
  ...event,
});

function parse([id, fields]: [id: string, fields: string[]]): Entry {
  return { id, n: Number(fields[1]), event: parseEvent(fields[3] ?? '') };
}
