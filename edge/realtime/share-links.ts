import type { Redis } from '@upstash/redis/cloudflare';
import { ApiError } from '@warmwind/shared/contract/errors';
import { MAX_SHARE_LINKS, ShareLink } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import { addShareLink } from '@warmwind/shared/engine/scripts/share-link.lua';
import { log } from '../http/log.ts';
import { orUnavailable, toRecord } from '../redis/record.ts';
import { type PreparedScript, prepareScript } from '../redis/redis.ts';

/**
 * The users' share links that have not expired, in the queue Redis. Tickets are verified by their signature
 * alone: a link that this record has lost still works, and can be revoked by its id.
 */
export class ShareLinks {
  readonly #redis: Redis;
  readonly #add: PreparedScript<typeof addShareLink>;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#add = prepareScript(redis, addShareLink);
  }

  /**
   * Adds a link.
   * @throws ApiError `quota_exceeded` when the user has too many, `unavailable` while Redis does not answer
   */
  async add(user: string, link: ShareLink): Promise<void> {
    const args = {
      id: link.id,
      link: JSON.stringify(link),
      expiresAt: Date.parse(link.expiresAt),
      now: Date.now(),
      maxLinks: MAX_SHARE_LINKS,
    };
    const added = await orUnavailable(this.#add({ userId: user }, args));
    if (added === 1) return;
    throw new ApiError(
      'quota_exceeded',
      `You have ${MAX_SHARE_LINKS} share links: revoke some with DELETE /realtime/tokens/{id}, or let them expire.`,
      { limit: MAX_SHARE_LINKS, used: MAX_SHARE_LINKS },
    );
  }

  /**
   * Lists the links of a user, newest first.
   * @throws ApiError `unavailable` while Redis does not answer
   */
  async list(user: string): Promise<ShareLink[]> {
    const fields = await orUnavailable(this.#redis.exec<string[]>(['HGETALL', keys.shareLinks(user)]));
    const now = Date.now();
    return Object.values(toRecord(fields))
      .flatMap((field) => read(field) ?? [])
      .filter(({ expiresAt }) => Date.parse(expiresAt) > now)
      .sort((a, b) => b.createdAt.localeCompare(a.createdAt) || a.id.localeCompare(b.id));
  }
}

/**
 * Parses a stored link.
 * @returns `undefined` for a malformed one, so that the others are still listed
 */
function read(field: string): ShareLink | undefined {
  try {
    return ShareLink.parse(JSON.parse(field.slice(field.indexOf(' ') + 1)));
  } catch {
    log.warn('a share link could not be read');
    return undefined;
  }
}
