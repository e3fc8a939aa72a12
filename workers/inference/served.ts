import { keys } from '@warmwind/shared/keys';
import type { Logger } from '@warmwind/shared/node/log';
import type { Redis } from 'ioredis';
import { loop } from '../loop.ts';

const SAY_EVERY_MS = 5000;
/** How long what a worker said holds, ms: a few that are late, or lost, matter not. */
const HOLDS_MS = 15_000;

export type ServedOptions = {
  /** A prompt connection to the queue Redis. */
  redis: Redis;
  host: string;
  /** The models that this worker serves now. */
  models: () => string[];
  log: Logger;
};

/** Says which models this worker serves, again and again, and knows which the fleet does. */
export class Served {
  readonly #o: ServedOptions;
  readonly #stop = new AbortController();
  #saying: Promise<void> | undefined;

  constructor(options: ServedOptions) {
    this.#o = options;
  }

  start(): void {
    const { log } = this.#o;
    this.#saying ??= loop('served models', log, this.#stop.signal, () => this.#say());
  }

  /** Does some worker serve it? */
  async anywhere(model: string): Promise<boolean> {
    const members = await this.#o.redis.zrangebyscore(keys.models(), Date.now(), '+inf');
    return members.some((member) => modelOf(member) === model);
  }

  /** Takes back what was said. Never rejects: what stays is over soon. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#saying;
    const { redis, host } = this.#o;
    const members = await redis.zrange(keys.models(), '0', '-1').catch(() => []);
    const own = members.filter((member) => member.startsWith(`${host} `));
    if (own.length > 0) await redis.zrem(keys.models(), ...own).catch(() => undefined);
  }

  async #say(): Promise<number> {
    const { redis, host, models } = this.#o;
    const now = Date.now();
    const say = redis.multi().zremrangebyscore(keys.models(), '-inf', now);
    for (const model of models()) say.zadd(keys.models(), now + HOLDS_MS, `${host} ${model}`);
    await say.exec();
    return SAY_EVERY_MS;
  }
}

const modelOf = (member: string): string => member.slice(member.indexOf(' ') + 1);
