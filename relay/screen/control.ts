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

/** The last known control of one desktop: its latest lease, and the holder unless control is free. */
export type ControlState = { lease: number; holder: Control | null };

/**
 * Requests, takes, releases or reads the control of a container. Every action of the holder renews its lease.
 *
 * @param caller the holder or the viewer that wants control; omitted to read only
 * @returns the control after the action, and whether the holder changed
 * @throws when the realtime Redis is unavailable
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

/** @returns the viewer in the form of a holder of control */
export const asHolder = (viewer: { id: string; userId: string; shared: boolean }): Requester => {
  const { id: viewerId, userId, shared } = viewer;
  return shared ? { type: 'guest', viewerId, userId, shared } : { type: 'viewer', viewerId, userId };
};

/**
 * Does `next` change the holder of `known`? The end of a lease is its last state. A Redis that lost its data
 * reports lease 0 without a holder.
 */
export const changesHolder = (known: ControlState, next: ControlState): boolean =>
  next.lease > known.lease ||
  (known.holder !== null && next.holder === null && (next.lease === known.lease || next.lease === 0));
