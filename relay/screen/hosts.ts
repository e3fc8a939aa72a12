import { screenKeys } from '@warmwind/shared/contract/screen';
import { countListeners } from '@warmwind/shared/runtime/node/listeners';
import type { Redis } from 'ioredis';
import type { Screen } from './screen.ts';

/**
 * Looks whether the hosts of these desktops hear what they are told: a picture at rest and one whose host is gone look
 * alike otherwise. Rejects while Redis is away.
 */
export async function lookAtHosts(realtime: Redis, screens: Screen[]): Promise<void> {
  const counts = await countListeners(
    realtime,
    screens.map(({ containerId }) => screenKeys.up(containerId)),
  );
  for (const [index, screen] of screens.entries()) screen.receivedBy(counts[index] ?? 0);
}
