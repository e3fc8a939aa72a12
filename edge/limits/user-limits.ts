import { UserLimits } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import { readUserLimits, writeUserLimits } from '@warmwind/shared/engine/ledger/user-limits';
import { setUserLimits } from '@warmwind/shared/engine/scripts/user-limits.lua';
import { type SetLimits, setLimitsArgs } from '@warmwind/shared/engine/user-limits';
import { parseJson } from '@warmwind/shared/runtime/json';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import { readRecord } from '../redis/record.ts';
import { type PreparedScript, prepareScript } from '../redis/redis.ts';
import type { Services } from '../services.ts';

/**
 * The limits of single users. The ledger has the truth and is written first; Redis has what holds, because the script
 * that decides on a request reads it. Without a ledger Redis has both.
 */
export class UserLimitsStore {
  readonly #redis: Services['redis'];
  readonly #ledger: Services['ledger'];
  readonly #set: PreparedScript<typeof setUserLimits>;

  constructor(redis: Services['redis'], ledger: Services['ledger']) {
    this.#redis = redis;
    this.#ledger = ledger;
    this.#set = prepareScript(redis, setUserLimits);
  }

  /**
   * Reads the limits that were set for a user; `undefined` when none ever were.
   * @throws ApiError `unavailable` while the ledger, or without one Redis, does not answer
   */
  async read(c: Context<AppEnv>, userId: string): Promise<SetLimits | undefined> {
    if (this.#ledger) {
      return this.#ledger
        .run(c, (db) => readUserLimits(db, userId))
        .catch(failed(c, 'The limits can not be read now: retry.'));
    }
    const { limits, at, by } = await readRecord(this.#redis, keys.userLimits(userId));
    if (limits === undefined) return undefined;
    return { limits: parseJson(UserLimits, limits), at: Number(at), by: by ?? '' };
  }

  /**
   * Sets the limits of a user, in the ledger and then in Redis; empty ones remove what was set.
   * @throws ApiError `unavailable` while a store does not answer: the same request again is safe
   */
  async write(c: Context<AppEnv>, userId: string, limits: UserLimits): Promise<SetLimits> {
    const by = c.get('user').id;
    const recorded = await this.#ledger
      ?.run(c, (db) => writeUserLimits(db, { userId, limits, by }))
      .catch(failed(c, 'It is unknown whether the limits were set: send the request again.'));
    const [, at] = await this.#set(
      { userId },
      setLimitsArgs(recorded ?? { limits, at: undefined, by }),
    ).catch(failed(c, 'The limits may not hold yet: send the request again.'));
    return recorded ?? { limits, at: Number(at), by };
  }
}

const failed =
  (c: Context<AppEnv>, message: string) =>
  (error: unknown): never => {
    log.warn('limits of a user: a store did not answer', {
      requestId: c.get('requestId'),
      ...failureOf(error),
    });
    throw unavailable(message);
  };
