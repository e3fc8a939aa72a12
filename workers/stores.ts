import { keys } from '@warmwind/shared/engine/keys';
import { Caller } from '@warmwind/shared/engine/node/caller';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { Reservations } from '@warmwind/shared/engine/node/reservations';
import { WaitingStarts } from '@warmwind/shared/engine/node/waiting-starts';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { Queue } from 'bullmq';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';
import { createNotify } from './webhooks/notify.ts';

/** Time that Redis has for a frame or the answer to a call, which may be large, ms. */
const BULK_TIMEOUT_MS = 4000;

export type Stores = ReturnType<typeof createStores>;

/**
 * The connections and stores of a worker. A queueing connection holds commands until its Redis is back; a
 * fail-fast connection rejects them while it is away.
 */
export function createStores(config: Config, metrics: Metrics, log: Logger) {
  const queueRedis = connectQueueing(config.REDIS_QUEUE_URL, 'worker', log);
  const failFastRedis = connectFailFast(config.REDIS_QUEUE_URL, 'worker-prompt', log);
  const realtimeRedis = connectQueueing(config.REDIS_REALTIME_URL, 'worker-events', log);
  const realtimeFailFast = connectFailFast(config.REDIS_REALTIME_URL, 'worker-realtime', log);
  const screenRedis = connectFailFast(config.REDIS_REALTIME_URL, 'worker-screens', log, BULK_TIMEOUT_MS);
  const screenSubscriber = connectQueueing(config.REDIS_REALTIME_URL, 'worker-screens-up', log);
  const sessionRedis = connectFailFast(config.REDIS_REALTIME_URL, 'worker-sessions', log, BULK_TIMEOUT_MS);
  const sessionSubscriber = connectQueueing(config.REDIS_REALTIME_URL, 'worker-sessions-up', log);
  const callRedis = connectFailFast(config.REDIS_REALTIME_URL, 'worker-calls', log, BULK_TIMEOUT_MS);
  const callSubscriber = connectQueueing(config.REDIS_REALTIME_URL, 'worker-calls-in', log);
  const replySubscriber = connectQueueing(config.REDIS_REALTIME_URL, 'worker-replies', log);
  const ofQueue = [queueRedis, failFastRedis];
  const ofScreens = [screenRedis, screenSubscriber];
  const ofSessions = [sessionRedis, sessionSubscriber];
  const ofCalls = [callRedis, callSubscriber, replySubscriber];
  const ofRealtime = [realtimeRedis, realtimeFailFast, ...ofScreens, ...ofSessions, ...ofCalls];
  const connections = [...ofQueue, ...ofRealtime];

  const queues = new Map<string, Queue>();
  const queue = (name: string): Queue => {
    const known = queues.get(name);
    if (known) return known;
    const made = new Queue(name, { connection: queueRedis, prefix: keys.bullmqPrefix(name) });
    made.on('error', (error) => log.warn({ queue: name, err: error }, 'queue'));
    queues.set(name, made);
    return made;
  };

  const publisher = new Publisher(realtimeRedis, log, (events) => metrics.eventsDropped.inc(events));
  const ledger =
    config.LEDGER_URL && config.LEDGER === 'on' ? new Ledger(config.LEDGER_URL, 'worker', log) : undefined;
  const migrating = new AbortController();
  const notify = createNotify(() => queue('webhooks'), config.ALERT_WEBHOOK_URL !== undefined);

  return {
    queueRedis,
    failFastRedis,
    realtimeFailFast,
    screenRedis,
    screenSubscriber,
    sessionRedis,
    sessionSubscriber,
    callRedis,
    callSubscriber,
    /** Sends calls to the hosts of containers. */
    caller: new Caller({ redis: realtimeFailFast, bulk: callRedis, subscriber: replySubscriber, log }),
    /** A queue by its name. */
    queue,
    ledger,
    records: new Records(queueRedis, publisher, ledger, notify),
    reservations: new Reservations(queueRedis),
    waiting: new WaitingStarts(failFastRedis),

    /** Migrates the ledger. Queries wait for the migration. */
    migrate: () => ledger?.migrate(migrating.signal),
    closeRedis: async () => {
      publisher.close();
      await Promise.all([...queues.values()].map((made) => made.close()));
      await Promise.all(connections.map((redis) => disconnect(redis)));
    },
    closeLedger: async () => {
      migrating.abort();
      await ledger?.close();
    },
  };
}
