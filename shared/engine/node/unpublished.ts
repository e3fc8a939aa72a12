import type { Redis } from 'ioredis';
import { z } from 'zod';
import { LOG_TTL_SECONDS } from '../../contract/rooms.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';

/** A job or container with a recorded end that its room may not have received. */
export type Unpublished = { kind: 'job' | 'container'; userId: string; id: string };
/** A note as it was read, with the time at which it was last made, ms since 1970. */
export type Noted = Unpublished & { notedAt: number };

/** Removes a note unless it was made again since. KEYS: notes. ARGV: member, score as it was read. */
const removeNote = defineScript({
  lua: `if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end return 0`,
  keys: () => [keys.unpublishedEnds()],
  args: z.object({ member: z.string(), score: z.number() }),
  answer: z.number(),
});

/**
 * Notes in the queue Redis the ends that have yet to reach their rooms. A process keeps such an event in its
 * memory and may end before the realtime Redis recovers, and a retry may overtake it: the note outlives both.
 */
export class UnpublishedEnds {
  readonly #redis: Redis;

  /** @param redis the queue Redis */
  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async add(end: Unpublished): Promise<Noted> {
    const notedAt = Date.now();
    await this.#redis.zadd(keys.unpublishedEnds(), notedAt, memberOf(end));
    return { ...end, notedAt };
  }

  /** @returns the oldest notes, at most `count` */
  async oldest(count: number): Promise<Noted[]> {
    const flat = await this.#redis.zrange(keys.unpublishedEnds(), '0', `${count - 1}`, 'WITHSCORES');
    const notes: Noted[] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) {
      notes.push({ ...endOf(flat[i] ?? ''), notedAt: Number(flat[i + 1]) });
    }
    return notes;
  }

  /** Removes a note that was read, unless it was made again since. */
  async remove(note: Noted): Promise<void> {
    const args = { member: memberOf(note), score: note.notedAt };
    await runScript(this.#redis, removeNote, undefined, args);
  }

  /** Removes notes of rooms whose logs have expired. */
  async removeExpired(): Promise<void> {
    const before = Date.now() - LOG_TTL_SECONDS * 1000;
    await this.#redis.zremrangebyscore(keys.unpublishedEnds(), '-inf', before);
  }
}

const memberOf = ({ kind, userId, id }: Unpublished): string => `${kind}/${userId}/${id}`;

/** The user's id may hold slashes; kinds and ids do not. */
function endOf(member: string): Unpublished {
  const [first, last] = [member.indexOf('/'), member.lastIndexOf('/')];
  const kind = member.slice(0, first) as Unpublished['kind'];
  return { kind, userId: member.slice(first + 1, last), id: member.slice(last + 1) };
}
