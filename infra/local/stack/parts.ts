import type { PartsContext } from './context.ts';
import { poolerPart } from './pooler.ts';
import { nginxPart } from './proxy.ts';
import { queueArgs, realtimeArgs } from './redis.ts';
import { edgePart, gatewayPart, modelServerPart, relayPart, workerPart } from './services.ts';
import { postgresPart, redisPart } from './stores.ts';
import { stackUrls } from './urls.ts';

export const WORKER_HOSTS = ['worker-1', 'worker-2'] as const;

export type Parts = ReturnType<typeof planParts>;

/**
 * Makes every part, without starting it.
 * @throws Error when a part would refuse its environment
 */
export function planParts(context: PartsContext) {
  const { settings, ports } = context;
  const urls = stackUrls(context);
  const [firstHost, secondHost] = WORKER_HOSTS;
  return {
    postgres: urls.ledger && !settings.LEDGER_URL ? postgresPart(context, urls.ledger) : undefined,
    pooler: urls.pooler ? poolerPart(context) : undefined,
    redisQueue: redisPart(context, {
      name: 'redis-queue',
      what: 'Redis, queue role',
      port: ports.REDIS_QUEUE_PORT,
      args: queueArgs,
    }),
    redisRealtime: redisPart(context, {
      name: 'redis-realtime',
      what: 'Redis, realtime role',
      port: ports.REDIS_REALTIME_PORT,
      args: realtimeArgs,
    }),
    gateway: gatewayPart(context),
    relays: [
      relayPart(context, 'relay-1', ports.RELAY_1_PORT),
      relayPart(context, 'relay-2', ports.RELAY_2_PORT),
    ],
    modelServer: urls.modelServer ? modelServerPart(context) : undefined,
    workers: [
      workerPart(context, firstHost, { port: ports.WORKER_1_PORT, admin: ports.WORKER_1_ADMIN_PORT }),
      workerPart(context, secondHost, { port: ports.WORKER_2_PORT, admin: ports.WORKER_2_ADMIN_PORT }),
    ],
    edge: edgePart(context),
    nginx: context.nginx ? nginxPart(context, context.nginx) : undefined,
  };
}
