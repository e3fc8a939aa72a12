import {
  CONTROL_TTL_MS,
  type Control,
  type Holder,
  type Requester,
  screenKeys,
} from '@warmwind/shared/contract/screen';
import { moveControl } from '@warmwind/shared/engine/scripts/control.lua';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { Redis } from 'ioredis';

/** The control of one desktop as it is known to be: the last lease that there has been, and who holds it if anyone does. */
export type ControlState = { lease: number; holder: Control | null };

/**
 * Asks for, takes, releases or looks at the control of a container; its holder renews it with each of them.
 * @param caller its holder, or the one that would be; left out by a mere look
 * @returns the state after it, and whether it changed hands. Rejects while the realtime Redis is away
 */
export async function actOnControl(
  realtime: Redis,
  containerId: string,
  action: 'look' | 'request' | 'take' | 'release',
  caller?: Holder,
): Promise<ControlState & { changed: boolean }> {
  const args = {
    action,
    caller: caller ? JSON.stringify(caller) : '',
    ttlMs: CONTROL_TTL_MS,
    channel: screenKeys.up(containerId),
  };
  const [changed, lease, holder] = await runScript(realtime, moveControl, { containerId }, args);
  return { changed: changed === 1, lease, holder: holder === '' ? null : holder };
}

/** @returns a viewer as the holder of control that it is or would be */
export const asHolder = (viewer: { id: string; userId: string; shared: boolean }): Requester => {
  const { id: viewerId, userId, shared } = viewer;
  return shared ? { type: 'guest', viewerId, userId, shared } : { type: 'viewer', viewerId, userId };
};

/** Is `next` news to who knows `known`? Of one lease the end comes last; after a loss of Redis nothing is left. */
export const changesHolder = (known: ControlState, next: ControlState): boolean =>
  next.lease > known.lease ||
  (known.holder !== null && next.holder === null && (next.lease === known.lease || next.lease === 0));
