import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { FairGate } from '@warmwind/shared/runtime/node/fair-gate';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Redis } from 'ioredis';
import type { Config } from './config.ts';
import { LIMITS } from './limits.ts';
import type { Metrics } from './metrics.ts';

/** Time that a subscription waits for the ledger, ms. */
const LEDGER_TIMEOUT_MS = 1500;
/** Time that Redis has for the answer to a call, which may be large, ms. */
const BULK_TIMEOUT_MS = 4000;

export type Stores = ReturnType<typeof createStores>;

/**
 * The connections of a node. A queueing connection holds commands until its Redis is back; a fail-fast
 * connection rejects them while it is away.
 */
export function createStores(config: Config, metrics: Metrics, log: Logger) {
  const queue = connectFailFast(config.REDIS_QUEUE_URL, 'relay-queue', log);
  const realtime = connectFailFast(config.REDIS_REALTIME_URL, 'relay-realtime', log);
  const subscriber = connectQueueing(config.REDIS_REALTIME_URL, 'relay-rooms', log);
  const nodes = quiet(connectQueueing(config.REDIS_REALTIME_URL, 'relay-nodes', log));
  const frames = connectQueueing(config.REDIS_REALTIME_URL, 'relay-screens', log);
  const sessionsUp = connectFailFast(config.REDIS_REALTIME_URL, 'relay-sessions-up', log);
  const sessionsDown = connectQueueing(config.REDIS_REALTIME_URL, 'relay-sessions-down', log);
  const replies = connectQueueing(config.REDIS_REALTIME_URL, 'relay-replies', log);
  const bulk = connectFailFast(config.REDIS_REALTIME_URL, 'relay-answers', log, BULK_TIMEOUT_MS);
  const revoked = connectQueueing(config.REDIS_QUEUE_URL, 'relay-revoked', log);
  const ledger = config.LEDGER_URL
    ? new Ledger(config.LEDGER_URL, 'relay', log, LEDGER_TIMEOUT_MS)
    : undefined;
  const ofSessions = { sessionsUp, sessionsDown };
  const ofCalls = { replies, bulk };
  const connections = { queue, realtime, subscriber, nodes, frames, ...ofSessions, ...ofCalls, revoked };
  metrics.watchRedis(connections);
  return {
    ...connections,
    /** Reads records of jobs and containers. */
    recordSources: { queue, ledger, ledgerReads: new FairGate(LIMITS.ledgerReads) },
    close: async () => {
      await Promise.all(Object.values(connections).map((redis) => disconnect(redis)));
      await ledger?.close();
    },
  };
}

/**
 * Catches rejections that the adapter does not handle: a subscription that fails at close must not end the
 * process.
 */
function quiet(redis: Redis): Redis {
  const ssubscribe = redis.ssubscribe.bind(redis) as (...channels: string[]) => Promise<unknown>;
  const sunsubscribe = redis.sunsubscribe.bind(redis) as (...channels: string[]) => Promise<unknown>;
  const ignore = () => undefined;
  return Object.assign(redis, {
    ssubscribe: (...channels: string[]) => ssubscribe(...channels).catch(ignore),
    sunsubscribe: (...channels: string[]) => sunsubscribe(...channels).catch(ignore),
  });
}
