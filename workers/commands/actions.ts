import type { CallHandlers } from '../calls/call.ts';
import type { ScreenHost } from '../screen/host.ts';

/** Creates the handler of `container.actions`, which acts on a desktop by pointer and keyboard. */
export const createActions =
  (screens: Pick<ScreenHost, 'act'>): CallHandlers['container.actions'] =>
  ({ containerId, userId, credential, incarnation, input, signal }) =>
    screens.act(containerId, { userId, credential, incarnation, input, signal });
