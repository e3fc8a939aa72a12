import { refusedState } from '@warmwind/shared/contract/call-refusal';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Records } from '@warmwind/shared/engine/node/records';
import { iso } from '@warmwind/shared/runtime/times';
import type { CallHandlers } from '../calls/call.ts';

/** How often a call decides again after the record changed meanwhile. */
const MAX_LOOKS = 5;

/** Creates the handler of `container.extend`, which sets when the time to live of a container ends. */
export const createExtend =
  ({ containers }: Pick<Records, 'containers'>): CallHandlers['container.extend'] =>
  async ({ userId, containerId, incarnation, input: { ttlSeconds } }) => {
    for (let look = 0; look < MAX_LOOKS; look++) {
      const record = await containers.get({ userId, containerId });
      if (!record) throw new ApiError('not_found', 'There is no such desktop.');
      const { state, fence } = record;
      if (fence !== incarnation || (state !== 'running' && state !== 'paused')) throw refusedState(state);
      const expiresAt = Date.now() + ttlSeconds * 1000;
      if ((await containers.extend(record, expiresAt)) === 'ok') return { expiresAt: iso(expiresAt) };
    }
    throw new ApiError('unavailable', 'The desktop changes its state. Retry in a moment.', {
      retryAfterMs: 1000,
    });
  };
