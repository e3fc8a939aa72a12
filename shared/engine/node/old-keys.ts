import type { Redis } from 'ioredis';
import { isUserId } from '../../contract/ids.ts';
import { ANY_KEY_PATTERN, splitKey, userKey } from '../keys.ts';
import { userTag } from '../tags.ts';

/** Keys looked at in one step of a scan, and members of a set moved in one. */
const STEP = 1000;

/** What follows the tag in a user's keys that are kept; rate limits expire soon enough. */
const KEPT =
  /^(?:jobs|open-jobs|containers|open-containers|changes|revoked|share-links|(?:job|container|input):[\w-]+|idem:[0-9a-f]{64}|(?:log|meta):.+)$/s;

/**
 * Earlier releases wrote a user's id into key names as it was, so that a user called `host:worker-1` shared keys with that
 * host. The name that such a key has now, `undefined` for one that is named as it should be.
 */
function presentName(key: string): string | undefined {
  const { tag, name = '' } = splitKey(key) ?? {};
  if (!isUserId(tag) || userTag(tag) === tag || !KEPT.test(name)) return undefined;
  return userKey(tag, name);
}

/** Moves one key of an earlier release to its present name. → was it one? What stands under that name already is newer. */
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

/** Looks through all of a Redis for keys of earlier releases and moves them. → how many there were. */
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
