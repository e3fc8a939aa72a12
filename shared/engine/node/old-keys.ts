import type { Redis } from 'ioredis';
import { isUserId } from '../../contract/ids.ts';
import { ANY_KEY_PATTERN, splitKey, userKey } from '../keys.ts';
import { userTag } from '../tags.ts';

/** Keys of one step of a scan, and members of a set that are moved in one step. */
const STEP = 1000;

/** The names after the tag of a user's keys that are moved; rate limits expire soon enough. */
const KEPT =
  /^(?:jobs|open-jobs|containers|open-containers|changes|revoked|share-links|(?:job|container|input):[\w-]+|idem:[0-9a-f]{64}|(?:log|meta):.+)$/s;

/**
 * The present name of a key of an earlier release. Those releases did not escape a user's id in key names, so
 * a user called `host:worker-1` shared keys with that host.
 * @returns `undefined` for a key whose name is right
 */
function presentName(key: string): string | undefined {
  const { tag, name = '' } = splitKey(key) ?? {};
  if (!isUserId(tag) || userTag(tag) === tag || !KEPT.test(name)) return undefined;
  return userKey(tag, name);
}

/**
 * Moves one key of an earlier release to its present name. A value that exists under that name is newer and
 * stays.
 * @returns whether the key was one of an earlier release
 */
export async function moveOldKey(redis: Redis, key: string): Promise<boolean> {
  const name = presentName(key);
  if (name === undefined) return false;
  const type = await redis.type(key);
  // A host's own set of containers.
  if (type === 'none' || type === 'set') return false;
  const moved = await redis.renamenx(key, name);
  if (moved === 1) return true;
  if (type === 'zset') {
    for (let from = 0; ; from += STEP) {
      const members = await redis.zrange(key, from, `${from + STEP - 1}`, 'WITHSCORES');
      if (members.length === 0) break;
      const pairs = members.flatMap((member, i) => (i % 2 === 0 ? [members[i + 1] ?? '0', member] : []));
      await redis.zadd(name, 'NX', ...pairs);
    }
  }
  await redis.unlink(key);
  return true;
}

/**
 * Scans a Redis for keys of earlier releases and moves them.
 * @returns how many were moved
 */
export async function moveOldKeys(redis: Redis, signal: AbortSignal): Promise<number> {
  let cursor = '0';
  let moved = 0;
  do {
    const [next, names] = await redis.scan(cursor, 'MATCH', ANY_KEY_PATTERN, 'COUNT', STEP);
    cursor = next;
    for (const name of names) if (await moveOldKey(redis, name)) moved += 1;
  } while (cursor !== '0' && !signal.aborted);
  return moved;
}
