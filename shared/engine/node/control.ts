import type { Redis } from 'ioredis';
import { CONTROL_TTL_MS, type Control, type Holder, screenKeys } from '../../contract/screen.ts';
import { runScript } from '../../runtime/node/script.ts';
import { moveControl } from '../scripts/control.lua.ts';

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
