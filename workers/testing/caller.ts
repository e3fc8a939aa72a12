import { Caller } from '@warmwind/shared/engine/node/caller';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { waitFor } from '../../infra/quality/testing/wait.ts';

/** Sends calls as a relay node does. */
export async function createTestCaller(url: string): Promise<{ caller: Caller; close: () => Promise<void> }> {
  const log = createLog('test-caller');
  log.level = 'silent';
  const redis = connectFailFast(url, 'test-caller', log, 1500, { enableOfflineQueue: true });
  const bulk = connectFailFast(url, 'test-answers', log, 4000, { enableOfflineQueue: true });
  const subscriber = connectQueueing(url, 'test-replies', log);
  await waitFor('its connections', () => [redis, subscriber].every(({ status }) => status === 'ready'));
  return {
    caller: new Caller({ redis, bulk, subscriber, log }),
    close: async () => {
      await Promise.all([redis, bulk, subscriber].map((connection) => disconnect(connection)));
    },
  };
}
