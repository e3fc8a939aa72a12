import { moveControl } from '@warmwind/shared/lua/control.lua';
import { runScript } from '@warmwind/shared/node/script';
import { CONTROL_TTL_MS, type Control, screenKeys } from '@warmwind/shared/screen';
import type { Redis } from 'ioredis';

/** The control of one desktop as it is known to be: the last lease that there has been, and who holds it if anyone does. */
export type ControlState = { lease: number; holder: Control | null };

/**
 * Asks for, takes, gives back or looks at the control of a desktop; its holder renews it with each of them.
 * → the state after it, and whether it changed hands. Rejects while the realtime Redis is away.
 */
export async function actOnControl(
  realtime: Redis,
  containerId: string,
  action: 'look' | 'request' | 'take' | 'release',
  viewer: { id: string; userId: string; shared: boolean } = { id: '', userId: '', shared: false },
): Promise<ControlState & { changed: boolean }> {
  const args = {
    action,
    viewerId: viewer.id,
    userId: viewer.userId,
    ttlMs: CONTROL_TTL_MS,
    channel: screenKeys.up(containerId),
    shared: viewer.shared ? ('1' as const) : ('' as const),
  };
  const [changed, lease, holder] = await runScript(realtime, moveControl, { containerId }, args);
  return { changed: changed === 1, lease, holder: holder === '' ? null : holder };
}

/** Is `next` news to who knows `known`? Of one lease the end comes last; after a loss of Redis nothing is left. */
export const isNews = (known: ControlState, next: ControlState): boolean =>
  next.lease > known.lease ||
  (known.holder !== null && next.holder === null && (next.lease === known.lease || next.lease === 0));
