import { screenKeys } from '@warmwind/shared/contract/screen';
import { countListeners } from '@warmwind/shared/runtime/node/listeners';
import type { Redis } from 'ioredis';
import type { Screen } from './screen.ts';

/**
 * Checks whether the hosts of these screens are subscribed. Without this check, a screen at rest cannot be
 * distinguished from one whose host is gone.
 *
 * @throws when the realtime Redis is unavailable
 */
export async function checkHosts(realtime: Redis, screens: Screen[]): Promise<void> {
  const counts = await countListeners(
    realtime,
    screens.map(({ containerId }) => screenKeys.up(containerId)),
  );
  for (const [index, screen] of screens.entries()) screen.receivedBy(counts[index] ?? 0);
}
