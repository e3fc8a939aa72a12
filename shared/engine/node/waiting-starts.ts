import type { Redis } from 'ioredis';
import { z } from 'zod';
import { WAIT_REASONS } from '../../contract/jobs.ts';
import { ResourceVector } from '../../contract/resources.ts';
import { jsonText } from '../../runtime/json.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys, ROOM_CHANNEL } from '../keys.ts';
import { MAX_WAITING, queueJobId } from '../queues.ts';
import { listWaitingStarts, waitForRoom } from '../scripts/waiting.lua.ts';
import { userTag } from '../tags.ts';

/**
 * The delay of a user's next turn for each start of theirs that waits already, ms. It is longer than a start
 * may hold room (`workers/placement/turns.ts`), so that starts of other users get turns between.
 */
export const TURN_MS = 90_000;
/** The most starts of which the order is read at once. Later ones wait until these have been placed. */
const MAX_LISTED = 256;

/** A start that waits for room, as other hosts see it. Times in ms. */
const WaitingStart = z.object({
  userId: z.string(),
  jobId: z.string(),
  run: z.number(),
  vector: ResourceVector,
  /** Reference of its image. */
  image: z.string(),
  reason: z.enum(WAIT_REASONS),
  queuedAt: z.number(),
  /** When a worker had it last. */
  seenAt: z.number(),
  /** Since when it keeps later starts from the room that it waits for. */
  holdsSince: z.number().optional(),
});
export type WaitingStart = z.infer<typeof WaitingStart>;
const WaitingStartText = jsonText(WaitingStart);

/** The same in its place. */
export type Waiter = WaitingStart & { member: string; turnAt: number };

/** The details that change while a start waits. */
type Details = Partial<Pick<WaitingStart, 'reason' | 'holdsSince' | 'seenAt'>>;
type StartRef = Pick<WaitingStart, 'userId' | 'jobId' | 'run'>;

/**
 * The starts of the fleet that wait for room, in the order of their turns: by the time at which each was
 * queued, and `TURN_MS` later for each start that its user has waiting before it.
 */
export class WaitingStarts {
  readonly #redis: Redis;

  /** @param redis a connection to the queue Redis */
  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** The member of a start. */
  static memberOf({ userId, jobId, run }: StartRef): string {
    return `${userTag(userId)}/${queueJobId(jobId, run)}`;
  }

  /**
   * Adds a start, or changes the details of one that waits already.
   * @returns false when too many wait
   */
  async add(start: WaitingStart): Promise<boolean> {
    return this.#put(start, start, '');
  }

  /** Changes details of a start, if it waits. */
  async change(start: StartRef, details: Details): Promise<void> {
    await this.#put(start, details, '1');
  }

  /** Removes starts, and publishes that later ones may have room. */
  async remove(members: string[]): Promise<void> {
    if (members.length === 0) return;
    const [removed] = await Promise.all([
      this.#redis.zrem(keys.waitingStarts(), ...members),
      this.#redis.hdel(keys.waitingStartDetails(), ...members),
    ]);
    if (removed > 0) await this.publish();
  }

  /** Lets every host look for room for the starts that wait. */
  async publish(): Promise<void> {
    await this.#redis.publish(ROOM_CHANNEL, '');
  }

  /** @returns the first starts, in the order of their turns */
  async list(): Promise<Waiter[]> {
    const found = await runScript(this.#redis, listWaitingStarts, {}, { most: MAX_LISTED });
    return found.flatMap(([member, turnAt, json]) => {
      const { data } = WaitingStartText.safeParse(json);
      return data ? [{ ...data, member, turnAt: Number(turnAt) }] : [];
    });
  }

  async #put(start: StartRef, details: Partial<WaitingStart>, known: '1' | ''): Promise<boolean> {
    const args = {
      member: WaitingStarts.memberOf(start),
      prefix: `${userTag(start.userId)}/`,
      queuedAt: details.queuedAt ?? 0,
      turnMs: TURN_MS,
      max: MAX_WAITING,
      known,
      details: JSON.stringify(details),
    };
    return (await runScript(this.#redis, waitForRoom, {}, args)) === 1;
  }
}
