import { keys, roomKeys } from '@warmwind/shared/engine/keys';
import type { Redis } from 'ioredis';

/** Keys looked at in one step of a scan. */
const STEP = 1000;

/** Every key of one user, in either Redis. */
const ofUser = (user: string) => ({
  exact: [
    keys.jobs(user),
    keys.openJobs(user),
    keys.containers(user),
    keys.openContainers(user),
    keys.changes(user),
    keys.revoked(user),
    keys.revokedBefore(user),
    keys.shareLinks(user),
    keys.userLimits(user),
    keys.webhookDeliveries(user),
  ],
  begin: [
    keys.job(user, ''),
    keys.input(user, ''),
    keys.container(user, ''),
    keys.idempotency(user, ''),
    keys.limit(user, ''),
    keys.webhookDelivery(user, ''),
    roomKeys.log(user, ''),
    roomKeys.meta(user, ''),
  ],
});

/** The keys of one user in one Redis. */
export class UserKeys {
  readonly #redis: Redis;
  readonly #user: string;

  constructor(redis: Redis, user: string) {
    this.#redis = redis;
    this.#user = user;
  }

  async count(): Promise<number> {
    // A scan may name a key twice.
    const found = new Set<string>();
    for await (const names of this.#scan()) for (const name of names) found.add(name);
    return found.size;
  }

  async delete(): Promise<void> {
    for await (const names of this.#scan()) if (names.length > 0) await this.#redis.unlink(...names);
  }

  async *#scan(): AsyncGenerator<string[]> {
    const { exact, begin } = ofUser(this.#user);
    const pattern = `${literal(keys.jobs(this.#user).replace(/jobs$/, ''))}*`;
    let cursor = '0';
    do {
      const [next, names] = await this.#redis.scan(cursor, 'MATCH', pattern, 'COUNT', STEP);
      yield names.filter((name) => exact.includes(name) || begin.some((start) => name.startsWith(start)));
      cursor = next;
    } while (cursor !== '0');
  }
}

/** Escapes a text as a Redis pattern that matches only it. */
const literal = (text: string): string => text.replace(/[*?[\]\\^]/g, '\\$&');
