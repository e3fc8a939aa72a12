import { keys } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import { loop } from '../loop.ts';

const PUBLISH_EVERY_MS = 5000;
/** Time for which a publication is valid, ms. A late or lost publication has no effect. */
const VALID_MS = 15_000;

export type ServedModelsOptions = {
  /** A fail-fast connection to the queue Redis. */
  redis: Redis;
  host: string;
  /** The models that this worker serves now. */
  models: () => string[];
  /** Whether one of its servers loads, so that its models are not known yet. */
  loading: () => boolean;
  log: Logger;
};

/** Publishes the models that this worker serves at an interval, and reads those of the fleet. */
export class ServedModels {
  readonly #o: ServedModelsOptions;
  readonly #stop = new AbortController();
  #publishing: Promise<void> | undefined;

  constructor(options: ServedModelsOptions) {
    this.#o = options;
  }

  start(): void {
    const { log, models, loading } = this.#o;
    this.#publishing ??= loop('served models', log, this.#stop.signal, async () => {
      await this.#publish(models(), loading());
      return PUBLISH_EVERY_MS;
    });
  }

  /**
   * Checks whether another worker serves the model, or may soon. @returns true while Redis does not answer
   */
  async isServedElsewhere(model: string): Promise<boolean> {
    const { redis, host } = this.#o;
    const now = Date.now();
    try {
      const [members, loading] = await Promise.all([
        redis.zrangebyscore(keys.models(), now, '+inf'),
        redis.zrangebyscore(keys.modelsLoading(), now, '+inf'),
      ]);
      const others = members.filter((member) => hostOf(member) !== host);
      return others.some((member) => modelOf(member) === model) || loading.some((other) => other !== host);
    } catch {
      return true;
    }
  }

  /** Withdraws the published models. Never rejects: a publication that stays expires. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#publishing;
    await this.#publish([], false).catch(() => undefined);
  }

  async #publish(models: string[], loading: boolean): Promise<void> {
    const { redis, host } = this.#o;
    const now = Date.now();
    const published = await redis.zrange(keys.models(), '0', '-1');
    const gone = published.filter((member) => hostOf(member) === host && !models.includes(modelOf(member)));
    const update = redis.multi().zremrangebyscore(keys.models(), '-inf', now);
    if (gone.length > 0) update.zrem(keys.models(), ...gone);
    for (const model of models) update.zadd(keys.models(), now + VALID_MS, `${host} ${model}`);
    if (loading) update.zadd(keys.modelsLoading(), now + VALID_MS, host);
    else update.zrem(keys.modelsLoading(), host);
    await update.exec();
  }
}

const hostOf = (member: string): string => member.slice(0, member.indexOf(' '));
const modelOf = (member: string): string => member.slice(member.indexOf(' ') + 1);
