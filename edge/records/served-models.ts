import { keys } from '@warmwind/shared/engine/keys';
import { orUnavailable } from '../redis/record.ts';
import type { Services } from '../services.ts';

/** The most pairs of host and model that are read. */
const MAX_SERVED = 10_000;

/**
 * Lists the models that are served now.
 * @returns each model with the number of its hosts
 */
export async function servedModels(redis: Services['redis']): Promise<Map<string, number>> {
  const alive = ['ZRANGEBYSCORE', keys.models(), `(${Date.now()}`, '+inf', 'LIMIT', '0', `${MAX_SERVED}`];
  const served = await orUnavailable(redis.exec<string[]>(alive as [string, ...string[]]));
  const hosts = new Map<string, number>();
  for (const pair of served) {
    const id = pair.slice(pair.indexOf(' ') + 1);
    hosts.set(id, (hosts.get(id) ?? 0) + 1);
  }
  return hosts;
}
