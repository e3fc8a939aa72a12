import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import { hasEnded } from '@warmwind/shared/contract/containers';
import type { Caller } from '@warmwind/shared/engine/node/caller';
import type { Records } from '@warmwind/shared/engine/node/records';
import { JobFailureError } from '../../runtime/failures.ts';
import type { Look } from './reading.ts';

/**
 * Creates a `Look` that calls the host of the desktop for a screenshot. Desktops of other users are
 * `not_found`.
 */
export const createLook =
  (records: Records, caller: Caller): Look =>
  async ({ jobId, ...ref }, signal) => {
    const desktop = await records.containers.get(ref);
    if (!desktop || hasEnded(desktop.state)) throw new JobFailureError('not_found');
    if (desktop.state !== 'running') throw new JobFailureError('screen_unavailable');
    signal.throwIfAborted();
    const call = {
      ...ref,
      command: containerScreenshot,
      incarnation: desktop.fence,
      credential: `job:${jobId}`,
      input: { format: 'png' },
      signal,
    };
    try {
      return (await caller.call(call)).bytes.toString('base64');
    } catch (error) {
      signal.throwIfAborted();
      throw new JobFailureError('screen_unavailable', error);
    }
  };
