import { newId } from '@warmwind/shared/contract/ids';
import {
  type Holder,
  holdingViewer,
  Viewer as SeenViewer,
  screenKeys,
  type Viewers,
} from '@warmwind/shared/contract/screen';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import type { Viewer } from './viewer.ts';

/** A viewer as its node publishes it; `until` is when the entry expires, ms since the epoch. */
const PresenceEntry = SeenViewer.omit({ control: true }).extend({ until: z.number() });
type PresenceEntry = z.infer<typeof PresenceEntry>;

/** The viewers of a desktop on all nodes. Each node publishes its own, as entries that expire. */
export class Presence {
  /** Unique to this process. */
  readonly #node = newId();
  readonly #realtime: Redis;

  constructor(realtime: Redis) {
    this.#realtime = realtime;
  }

  /**
   * Publishes that these viewers watch. The caller repeats this before the entries expire.
   *
   * @throws when Redis is unavailable
   */
  async publish(containerId: string, viewers: Viewer[]): Promise<void> {
    if (viewers.length === 0) return;
    const key = screenKeys.viewers(containerId);
    const until = Date.now() + LIMITS.presenceTtlMs;
    const fields = viewers.flatMap((viewer) => [
      this.#field(viewer.id),
      JSON.stringify({ ...viewer.seen, until } satisfies PresenceEntry),
    ]);
    await this.#realtime
      .pipeline()
      .hset(key, ...fields)
      .pexpire(key, 2 * LIMITS.presenceTtlMs)
      .exec();
  }

  async remove({ containerId, id }: Viewer): Promise<void> {
    await this.#realtime.hdel(screenKeys.viewers(containerId), this.#field(id));
  }

  /** Lists the present viewers, the oldest first, and removes expired entries. */
  async list(containerId: string): Promise<Omit<SeenViewer, 'control'>[]> {
    const key = screenKeys.viewers(containerId);
    const fields = Object.entries(await this.#realtime.hgetall(key));
    const now = Date.now();
    const known = fields.map(([field, value]) => ({ field, seen: read(value) }));
    const expired = known.filter(({ seen }) => !seen || seen.until < now).map(({ field }) => field);
    if (expired.length > 0) await this.#realtime.hdel(key, ...expired);
    return known
      .flatMap(({ seen }) => (seen && seen.until >= now ? [seen] : []))
      .sort((a, b) => a.since.localeCompare(b.since) || a.id.localeCompare(b.id))
      .map(({ until: _, ...seen }) => seen);
  }

  /**
   * Removes the entry of a viewer of any node.
   *
   * @returns whether the viewer was present
   */
  async forget(containerId: string, viewerId: string): Promise<boolean> {
    const key = screenKeys.viewers(containerId);
    const fields = await this.#realtime.hkeys(key);
    const field = fields.find((candidate) => candidate.endsWith(` ${viewerId}`));
    if (field === undefined) return false;
    const seen = read((await this.#realtime.hget(key, field)) ?? '');
    await this.#realtime.hdel(key, field);
    return seen !== undefined && seen.until >= Date.now();
  }

  #field(viewerId: string): string {
    return `${this.#node} ${viewerId}`;
  }
}

function read(value: string): PresenceEntry | undefined {
  try {
    return PresenceEntry.safeParse(JSON.parse(value)).data;
  } catch {
    return undefined;
  }
}

/** The viewers of a desktop as its owner sees them. */
export const viewersOf = (seen: Omit<SeenViewer, 'control'>[], holder: Holder | null): Viewers => ({
  items: seen.map((viewer) => ({ ...viewer, control: viewer.id === holdingViewer(holder) })),
  control: holder,
});
