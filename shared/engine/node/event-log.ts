import type { Redis } from 'ioredis';
import { LOG_MAX_BYTES, LOG_MAX_EVENTS, LOG_TTL_SECONDS, type StoredEvent } from '../../contract/rooms.ts';
import { runScript } from '../../runtime/node/script.ts';
import { roomKeys } from '../keys.ts';
import { appendToRoom } from '../scripts/append.lua.ts';

/** The job or desktop that events are about. */
export type Subject = { userId: string; room: `job:${string}` | `container:${string}` };

/**
 * An event to append. With `token` it is appended once however often it is sent; else `seq` must rise within
 * `fence`. The `seq` of a token `end:…` is the fence of the run that ended.
 * `private` keeps it out of its owner's room.
 */
export type Append = {
  event: StoredEvent;
  token?: string;
  seq?: number;
  /** The part of a stream of bytes that the event holds, by its offsets: appended once, under any fence. */
  part?: { stream: string; start: number; end: number };
  private?: boolean;
};

/**
 * Appends to the subject's and its owner's logs and publishes, atomically and in order.
 * @param fence the producer's fence; left out by a process that acts for a dead producer and sends tokens
 *   only
 * @returns how many were new
 */
export async function appendEvents(
  redis: Redis,
  subject: Subject,
  events: Append[],
  fence?: number,
): Promise<number> {
  const { userId, room } = subject;
  const args = {
    channel: roomKeys.channel(userId, room),
    ownersChannel: roomKeys.channel(userId, `user:${userId}`),
    maxEvents: LOG_MAX_EVENTS,
    maxBytes: LOG_MAX_BYTES,
    ttlSeconds: LOG_TTL_SECONDS,
    fence,
  };
  const tail = events.flatMap((e) => [
    e.token ?? '',
    e.part?.start ?? e.seq ?? 0,
    e.part?.stream ?? '',
    e.part?.end ?? 0,
    e.private ? '1' : '',
    JSON.stringify(e.event),
  ]);
  return runScript(redis, appendToRoom, subject, args, tail);
}

/**
 * The offsets up to which a log has the bytes of streams.
 * @param streams as in {@link Append}
 */
export async function streamEnds(
  redis: Redis,
  { userId, room }: Subject,
  streams: string[],
): Promise<number[]> {
  const ends = await redis.hmget(roomKeys.meta(userId, room), ...streams.map((stream) => `at:${stream}`));
  return ends.map((end) => Number(end ?? 0));
}
