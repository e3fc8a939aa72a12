import { hasEnded } from '@warmwind/shared/containers';
import type { Records } from '@warmwind/shared/node/records';
import type { Screenshots } from '@warmwind/shared/node/screenshots';
import { JobFailure } from '../../runtime/failures.ts';
import type { Look } from './reading.ts';

/** Looks at the screen of one of the caller's desktops, whatever host it is on. */
export const createLook =
  (records: Records, screenshots: Screenshots): Look =>
  async (ref, signal) => {
    const desktop = await records.desktops.get(ref);
    if (!desktop || hasEnded(desktop.state)) throw new JobFailure('not_found');
    if (desktop.state !== 'running') throw new JobFailure('screen_unavailable');
    signal.throwIfAborted();
    try {
      return (await screenshots.take(ref.containerId, 'png')).toString('base64');
    } catch (error) {
      throw new JobFailure('screen_unavailable', error);
    }
  };
