import { newId } from '@warmwind/shared/contract/ids';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import type { CallRoute } from '../call.ts';
import { Claims } from '../claims.ts';
import { CallHost } from '../host.ts';
import { OpenCalls } from '../open-calls.ts';
import { Replies } from '../replies.ts';

/** Creates the part of a worker that takes calls, on its own connections. */
export function createTestHost(
  url: string,
  routes: CallRoute[],
  open = new OpenCalls(),
  onCall: (containerId: string) => void = () => undefined,
): { host: CallHost; close: () => Promise<void> } {
  const log = createLog('test-host');
  log.level = 'silent';
  const redis = connectFailFast(url, 'test-claims', log, 1500, { enableOfflineQueue: true });
  const bulk = connectFailFast(url, 'test-bulk', log, 4000, { enableOfflineQueue: true });
  const subscriber = connectQueueing(url, 'test-calls', log);
  const host = new CallHost({
    routes,
    open,
    claims: new Claims({ redis, holder: newId(), log }),
    replies: new Replies(bulk, log),
    subscriber,
    onCall,
    awake: async () => undefined,
    log,
  });
  host.start();
  return {
    host,
    close: async () => {
      await host.close();
      await Promise.all([redis, bulk, subscriber].map((connection) => disconnect(connection)));
    },
  };
}
