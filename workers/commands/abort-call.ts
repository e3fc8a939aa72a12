import { createHash } from 'node:crypto';
import type { CallHandlers } from '../calls/call.ts';
import type { OpenCalls } from '../calls/open-calls.ts';

/** Creates the handler of `container.abort-call`, which ends another call to the same container. */
export const createAbortCall =
  (calls: OpenCalls): CallHandlers['container.abort-call'] =>
  async ({ containerId, input: { key } }) => {
    const keyHash = createHash('sha256').update(key).digest('hex');
    return { aborted: calls.abortByKey(containerId, keyHash) };
  };
