import { createHash } from 'node:crypto';
import { controlScript } from '@warmwind/shared/lua/control.lua';
import { evalScript } from '@warmwind/shared/node/events';
import { CONTROL_TTL_MS, Control, screenKeys } from '@warmwind/shared/screen';
import type { Redis } from 'ioredis';

/** The control of one desktop as it is known to be: the last lease that there has been, and who holds it if anyone does. */
export type ControlState = { lease: number; holder: Control | null };

const SHA = createHash('sha1').update(controlScript).digest('hex');

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
  const names = [screenKeys.control(containerId), screenKeys.leases(containerId)];
  const args = [action, viewer.id, viewer.userId, CONTROL_TTL_MS, screenKeys.up(containerId)];
  args.push(viewer.shared ? '1' : '');
  const [changed, lease, holder] = (await evalScript(realtime, controlScript, SHA, names, args)) as [
    number,
    number,
    string,
  ];
  return {
    changed: changed === 1,
    lease,
    holder: holder === '' ? null : Control.parse(JSON.parse(holder)),
  };
}

/** Is `next` news to who knows `known`? Of one lease the end comes last; after a loss of Redis nothing is left. */
export const isNews = (known: ControlState, next: ControlState): boolean =>
  next.lease > known.lease ||
  (known.holder !== null && next.holder === null && (next.lease === known.lease || next.lease === 0));
