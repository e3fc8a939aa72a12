import type { Requester } from '@warmwind/shared/contract/screen';
import type { ControlState } from '@warmwind/shared/engine/node/control';

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
