import { screenKeys } from '@warmwind/shared/screen';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { Screen } from './screen.ts';

/**
 * Looks whether the hosts of these desktops hear what they are told: a picture at rest and one whose host is gone look
 * alike otherwise. Rejects while Redis is away.
 */
export async function lookAtHosts(realtime: Redis, screens: Screen[]): Promise<void> {
  for (let from = 0; from < screens.length; from += LIMITS.hostsBatch) {
    const batch = screens.slice(from, from + LIMITS.hostsBatch);
    const channels = batch.map(({ containerId }) => screenKeys.up(containerId));
    const counts = (await realtime.call('PUBSUB', 'SHARDNUMSUB', ...channels)) as (string | number)[];
    for (const [index, screen] of batch.entries()) screen.heardBy(Number(counts[2 * index + 1]));
  }
}
