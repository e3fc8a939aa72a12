import { newId } from '@warmwind/shared/contract/ids';
import type { Probes } from '@warmwind/shared/runtime/node/health';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { DrainStep } from '@warmwind/shared/runtime/node/shutdown';
import type { Hono } from 'hono';
import { Registry } from 'prom-client';
import { openBoard } from './admin/board.ts';
import { createEndContainer } from './cancellation/end-container.ts';
import { CancellationFollowUp } from './cancellation/follow-up.ts';
import { createOnCancelled } from './cancellation/on-cancelled.ts';
import { CancellationSubscriber } from './cancellation/subscriber.ts';
import { createHandlers } from './commands/registry.ts';
import type { Config } from './config.ts';
import { Sweep } from './containers/sweep.ts';
import { checkTerminals } from './containers/terminals.ts';
import { createHost, createHostLease } from './hosts/create-host.ts';
import { Models } from './inference/models.ts';
import { createLeaders } from './leader/leaders.ts';
import { fleetTasks } from './leader/tasks.ts';
import { drainSteps, type Parts, startParts } from './lifecycle.ts';
import { createLiveness } from './liveness/create-liveness.ts';
import { Recovery } from './liveness/recovery.ts';
import { createMetrics } from './metrics.ts';
import { createPromoter } from './placement/promoter.ts';
import { createProbes, depthCheck, queuesOf } from './probes.ts';
import { createWorkers } from './runtime/create-workers.ts';
import { createStores } from './stores.ts';
import { Delivery } from './webhooks/delivery.ts';

export type App = {
  probes: Probes;
  /** Bull Board; `undefined` when no password is set. */
  board: Hono | undefined;
  /** Runs one sweep now. */
  sweep: () => Promise<void>;
  /** Starts every part. The worker takes jobs once it holds the host's lease. */
  start: () => Promise<void>;
  /** The steps of a shutdown, in order. */
  drain: DrainStep[];
};

/** Wires a worker without ports: its queues, its host's containers, its part in the tasks of the fleet. */
export function createApp(config: Config, log: Logger): App {
  const registry = new Registry();
  const metrics = createMetrics(registry, () => depths().catch(() => undefined));
  const stores = createStores(config, metrics, log);
  const depths = depthCheck(config, stores, metrics);
  const { queueRedis: redis, records, queue } = stores;

  const boot = newId();
  const liveness = createLiveness(config, boot, log);
  const mayAct = () => liveness.mayAct;
  const { STALLED_EVERY_MS: stalledEveryMs } = config;
  const recovery = new Recovery({ redis: stores.failFastRedis, stalledEveryMs, metrics, log });
  const models = new Models(config, stores, metrics, log);
  const host = createHost({ config, boot, mayAct, stores, registry, metrics, gpus: models.gpus, log });
  void checkTerminals(config.HOST_DESKTOPS, log);
  const handlers = createHandlers({ host, models });
  const workers = createWorkers({ config, boot, stores, handlers, host, models, metrics, log });
  const lease = createHostLease({ config, stores, host, mayHold: mayAct, workers: workers.ofHost });
  const sweep = new Sweep(host, () => lease.held);
  const promoter = createPromoter({ stores, host, isTaking: () => lease.held });

  const endContainer = createEndContainer(host);
  const followUp = new CancellationFollowUp({ redis, records, queue, endContainer, metrics, log });
  const tasks = fleetTasks({ config, stores, presence: host.presence, followUp, metrics, log });
  const leaders = createLeaders({ config, stores, holder: boot, mayHold: mayAct, tasks, metrics, log });
  const cancellations = new CancellationSubscriber(
    redis,
    log,
    createOnCancelled({
      workers: workers.all,
      hostName: host.name,
      hostLease: lease,
      endContainer,
      leader: leaders.observer,
      followUp,
      log,
    }),
  );
  const delivery = new Delivery({
    boot,
    redis,
    records,
    metrics,
    log,
    secret: config.WEBHOOK_SECRET,
    allow: config.WEBHOOK_ALLOW,
    alertUrl: config.ALERT_WEBHOOK_URL,
  });
  const board = openBoard(queuesOf(host.name), stores.failFastRedis, config.ADMIN_PASSWORD);
  const parts: Parts = {
    stores,
    host,
    lease,
    sweep,
    promoter,
    models,
    workers,
    leaders,
    cancellations,
    delivery,
    liveness,
    recovery,
    board,
    metrics,
    log,
  };
  return {
    board: board?.app,
    probes: createProbes(config, { registry, stores, engine: host.engine, lease, models }, depths),
    sweep: () => sweep.once(),
    start: () => startParts(parts),
    drain: drainSteps(parts),
  };
}
